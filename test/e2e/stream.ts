// Reads server-sent events and line streams as they come, with a parser of its own: the server's notation is not to be judged by
// the server's code.

import assert from 'node:assert/strict';
import type { Loose } from '../serve.ts';
import type { HeaderSet, Wire } from './wire.ts';

/** An event as it came. */
export interface StreamedEvent {
  readonly id: string;
  readonly event: string;
  readonly data: Loose;
}

/** Opens an event stream and yields until it closes, or until the reader leaves. */
export async function* eventsOf(
  wire: Pick<Wire, 'url' | 'credentials'>,
  path: string,
  lastEventId?: string,
): AsyncGenerator<StreamedEvent, void> {
  const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
  const response = await openStream(wire, path, headers);
  assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
  for await (const block of pieces(response, '\n\n')) {
    const fields = block.split('\n').map(line => /^(\w*): ?(.*)$/s.exec(line) ?? []);
    const fieldOf = (name: string): string =>
      fields.flatMap(([, field, value = '']) => (field === name ? [value] : [])).join('\n');
    if (fieldOf('event') === '') continue;
    yield { id: fieldOf('id'), event: fieldOf('event'), data: JSON.parse(fieldOf('data')) };
  }
}

/** Opens a stream of JSON lines. */
export async function* linesOf(
  wire: Pick<Wire, 'url' | 'credentials'>,
  path: string,
): AsyncGenerator<Loose, void> {
  const response = await openStream(wire, path, {});
  assert.match(response.headers.get('content-type') ?? '', /^application\/x-ndjson/);
  for await (const line of pieces(response, '\n')) yield JSON.parse(line);
}

async function openStream(
  { url, credentials }: Pick<Wire, 'url' | 'credentials'>,
  path: string,
  headers: HeaderSet,
): Promise<Response> {
  const response = await fetch(`${url}${path}`, { headers: { ...credentials, ...headers } });
  assert.equal(response.status, 200, `${path} answered ${response.status}`);
  return response;
}

async function* pieces(response: Response, end: string): AsyncGenerator<string, void> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    const parts = text.split(end);
    text = parts.pop() ?? '';
    yield* parts.filter(part => part !== '');
  }
}
