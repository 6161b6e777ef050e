// Cutting texts into paragraphs, sentences and passages.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { paragraphsOf, passagesOf, sentencesOf } from './passages.ts';

test('sentences end at points, marks and empty lines, not at abbreviations or numbers', () => {
  assert.deepEqual(
    sentencesOf('El Sr. Pérez llegó a las 3.30 p.m. de ayer. ¿Por qué? “No sé.” Fin\n\nMr. Smith left! Yes'),
    ['El Sr. Pérez llegó a las 3.30 p.m. de ayer.', '¿Por qué?', '“No sé.”', 'Fin', 'Mr. Smith left!', 'Yes'],
  );
});

test('paragraphs are parted by empty lines, whatever ends the lines', () => {
  assert.deepEqual(paragraphsOf('one\ntwo\r\n\r\nthree\n \n\nfour\n'), ['one\ntwo', 'three', 'four']);
});

test('NOOB-82 a document is cut between sentences, passages overlapping by whole ones, paragraphs kept together', () => {
  const sentence = (letter: string): string => `${letter.toUpperCase()}${letter.repeat(17)}.`;
  const text = `${sentence('a')} ${sentence('b')}\n\n${sentence('c')} ${sentence('d')} ${sentence('e')}`;
  assert.deepEqual(passagesOf(text, { lengthMax: 66, overlapMax: 25 }), [
    `${sentence('a')} ${sentence('b')}`,
    `${sentence('b')}\n\n${sentence('c')} ${sentence('d')}`,
    `${sentence('d')} ${sentence('e')}`,
  ]);
  assert.deepEqual(passagesOf('short', { lengthMax: 66, overlapMax: 25 }), ['short']);
  assert.deepEqual(passagesOf(' \n\n ', { lengthMax: 66, overlapMax: 25 }), []);
});

test('no passage is too long and no word of a text is lost, whatever the text', () => {
  const word = fc.stringMatching(/^[a-zñ]{1,90}$/);
  const text = fc
    .array(fc.tuple(word, fc.constantFrom(' ', '. ', '! ', '\n\n', ', ')), { maxLength: 80 })
    .map(parts => parts.flat().join(''));
  fc.assert(
    fc.property(text, fc.integer({ min: 40, max: 200 }), (given, lengthMax) => {
      const passages = passagesOf(given, { lengthMax, overlapMax: Math.floor(lengthMax / 4) });
      for (const passage of passages) assert.ok(passage.length <= lengthMax, passage);
      const all = passages.join(' ');
      for (const one of given.match(/[a-zñ]+/g) ?? [])
        if (one.length < lengthMax / 2) assert.ok(all.includes(one), one);
    }),
  );
});
