// Where webhooks go: a real HTTP server that keeps what it got and answers as it is told.

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Loose } from '../serve.ts';

/** A notification as it came. */
export interface Letter {
  readonly headers: Readonly<Record<string, string>>;
  readonly raw: Buffer;
  readonly body: Loose;
}

/** A receiver of webhooks. */
export interface Mailbox {
  readonly url: string;
  readonly letters: readonly Letter[];
  /** The first letter, past or to come, that satisfies the condition; rejects after fifteen seconds. */
  find(holds: (letter: Letter) => boolean): Promise<Letter>;
  close(): void;
}

/** Opens a mailbox; `answer` may answer otherwise than 200. */
export async function openMailbox(
  answer: (letter: Letter) => { readonly status: number; readonly body?: string } = () => ({ status: 200 }),
): Promise<Mailbox> {
  const letters: Letter[] = [];
  const waiting = new Set<(letter: Letter) => void>();
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const raw = Buffer.concat(chunks);
    const headers = request.headers as Readonly<Record<string, string>>;
    const letter = { headers, raw, body: JSON.parse(raw.toString('utf8')) };
    letters.push(letter);
    for (const tell of waiting) tell(letter);
    const { status, body = '' } = answer(letter);
    response.writeHead(status).end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/hook`,
    letters,
    find: holds => found(letters, waiting, holds),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function found(
  letters: readonly Letter[],
  waiting: Set<(letter: Letter) => void>,
  holds: (letter: Letter) => boolean,
): Promise<Letter> {
  const here = letters.find(holds);
  if (here !== undefined) return Promise.resolve(here);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      waiting.delete(look);
      const came = letters.map(({ body }) => body.event_type).join(', ') || 'nothing';
      reject(new Error(`no such letter came within fifteen seconds, but ${came}`));
    }, 15_000);
    const look = (letter: Letter): void => {
      if (!holds(letter)) return;
      clearTimeout(timer);
      waiting.delete(look);
      resolve(letter);
    };
    waiting.add(look);
  });
}
