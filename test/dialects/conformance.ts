// What every message wire must do alike, as tests over its own envelopes.

import { after, describe, test } from 'node:test';
import type { Post } from '../post.ts';
import { exchanges } from './conformance-exchanges.ts';
import { hostile } from './conformance-hostile.ts';
import { inboxes } from './conformance-inboxes.ts';
import { messagesIn } from './conformance-messages.ts';
import { seals } from './conformance-seals.ts';
import { streams } from './conformance-streams.ts';
import type { Bench, Claim, OpenBench } from './setup.ts';

const CHAPTERS: Readonly<Record<string, readonly Claim[]>> = {
  messagesIn,
  inboxes,
  hostile,
  streams,
  exchanges,
  seals,
};

/** Registers the conformance tests of a dialect, all on one server, each with agents of its own. */
export function testDialect(name: string, openServer: () => Promise<Post>, openBench: OpenBench): void {
  let server: Promise<Post> | null = null;
  let benches = 0;
  const setup = async (): Promise<Bench> => {
    server ??= openServer();
    benches += 1;
    return tagged(await openBench(await server, `t${benches}`), `t${benches}.`);
  };
  const openAnother = async (): Promise<Bench> => openBench(await openServer(), 'another');
  after(async () => (await server)?.stop());
  for (const [subject, claims] of Object.entries(CHAPTERS))
    describe(`${name} ${subject}`, () => {
      for (const { title, hold } of claims) test(title, async () => hold(await setup(), openAnother));
    });
}

/** The bench with ids of its own on a server it shares. */
function tagged(bench: Bench, tag: string): Bench {
  return {
    ...bench,
    message: (id, { exchange, ...wanted } = {}) =>
      bench.message(`${tag}${id}`, {
        ...wanted,
        ...(exchange === undefined ? {} : { exchange: `${tag}${exchange}` }),
      }),
    answer: (id, to) => bench.answer(`${tag}${id}`, to),
    sealing: {
      ...bench.sealing,
      request: (id, words) => bench.sealing.request(`${tag}${id}`, words),
      critical: id => bench.sealing.critical(`${tag}${id}`),
    },
    idOf: message => bench.idOf(message).replace(tag, ''),
  };
}
