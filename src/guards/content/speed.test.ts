import assert from 'node:assert/strict';
import { test } from 'node:test';
import { moderationOf } from './moderation.ts';
import { personalDataIn } from './personal-data.ts';
import { sanitizedText } from './sanitize.ts';

const LENGTH = 1 << 18;
const REVIEWS: Readonly<Record<string, (text: string) => unknown>> = {
  moderationOf,
  personalDataIn,
  sanitizedText,
};
/** What would take a search with a repetition in a repetition, or one that looks back at every step, for ever. */
const HOSTILE = [
  'a',
  '1',
  '1 ',
  'a.',
  'a ',
  '@',
  'a@',
  '::',
  '1.',
  '612 34 567 8 ',
  'f*',
  '$',
  '!',
  '.-_',
  'ES91',
  '+1 ',
  'women are ',
  'los ',
  '\u202e',
  'é',
  'e\u0301',
  'f u c k ',
  'kill ',
];

/** Processor time: how long the machine lets us wait is none of the code's doing. */
const cpuMs = (work: () => unknown): number => {
  const before = process.cpuUsage();
  work();
  return process.cpuUsage(before).user / 1_000;
};
const filled = (piece: string, length: number): string =>
  piece.repeat(Math.ceil(length / piece.length)).slice(0, length);

test('ARMY-73 ARMY-74 ARMY-75 ARMY-81 BLOG-26 no text of 256 KiB, however hostile, takes more than its length’s time', () => {
  for (const [name, review] of Object.entries(REVIEWS))
    for (const piece of HOSTILE) {
      const spent = cpuMs(() => review(filled(piece, LENGTH)));
      // Some tens of milliseconds where nobody else works; quadratic time would be a minute.
      assert.ok(spent < 2_000, `${name} took ${spent} ms for ${JSON.stringify(piece)}`);
    }
});
