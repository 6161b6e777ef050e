// Reading what a server sends bit by bit: text as it arrives, its lines, and server-sent events. No reconnecting here.

import type { Clock } from './clock.ts';
import { ConnectionError } from './errors.ts';

/** One server-sent event as it stood in the stream; `id` is the last id seen, which an event need not repeat. */
export interface ServerSentEvent {
  readonly id: string | null;
  readonly event: string;
  readonly data: string;
}

/** How a stream is watched over: silence longer than this ends it with a `ConnectionError`. */
export interface Vigil {
  readonly clock: Clock;
  readonly silenceMaxMs: number;
}

/** The body's text as it arrives; leaving the loop early closes the connection. */
export async function* textChunks(response: Response, vigil?: Vigil): AsyncGenerator<string, void> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await (vigil === undefined ? reader.read() : readOrGiveUp(reader, vigil));
      if (done) return;
      const text = decoder.decode(value, { stream: true });
      if (text !== '') yield text;
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

/** Complete lines, without their ends (LF, CRLF or CR); a last line without an end counts too. */
export async function* lines(chunks: AsyncIterable<string>): AsyncGenerator<string, void> {
  let rest = '';
  for await (const chunk of chunks) {
    rest += chunk;
    // A CR at the very end may be half of a CRLF, so it waits for what follows.
    const parts = rest.split(/\r\n|\n|\r(?!$)/);
    rest = parts.pop() ?? '';
    yield* parts;
  }
  const last = rest.endsWith('\r') ? rest.slice(0, -1) : rest;
  if (last !== '') yield last;
}

/** Server-sent events out of a stream's lines, as the HTML standard reads them; `onRetry` hears the server's wish, in milliseconds. */
export async function* serverSentEvents(
  chunks: AsyncIterable<string>,
  lastEventId: string | null,
  onRetry: (ms: number) => void,
): AsyncGenerator<ServerSentEvent, void> {
  let id = lastEventId;
  let event = '';
  let data: string[] = [];
  let first = true;
  for await (const raw of lines(chunks)) {
    const line = first ? raw.replace(/^\uFEFF/, '') : raw;
    first = false;
    if (line === '') {
      if (data.length > 0) yield { id, event: event === '' ? 'message' : event, data: data.join('\n') };
      event = '';
      data = [];
      continue;
    }
    const colon = line.indexOf(':');
    if (colon === 0) continue;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') data.push(value);
    else if (field === 'event') event = value;
    else if (field === 'id' && !value.includes('\0')) id = value;
    else if (field === 'retry' && /^\d+$/.test(value)) onRetry(Number(value));
  }
}

async function readOrGiveUp(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  vigil: Vigil,
): Promise<ReadableStreamReadResult<Uint8Array>> {
  let giveUp: (error: Error) => void = () => undefined;
  const silence = new Promise<never>((_, reject) => {
    giveUp = reject;
  });
  const stop = vigil.clock.after(vigil.silenceMaxMs, () =>
    giveUp(
      new ConnectionError({
        code: 'CONNECTION_FAILED',
        message: `the stream was silent for ${vigil.silenceMaxMs} ms`,
        status: 0,
      }),
    ),
  );
  try {
    return await Promise.race([reader.read(), silence]);
  } finally {
    stop();
  }
}
