// Server-sent events: writes what a route yields, a comment every 15 s so that nobody takes silence for death, and a retry hint
// when the server goes (`SAM-65`, `SAM-226`).

import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { SseItem } from '../protocols/protocol.ts';
import type { Clock } from '../runtime/clock.ts';

/** A comment is sent after so much silence, in milliseconds. */
export const SSE_COMMENT_MS = 15_000;

/** How long a client is told to wait before it comes back after a shutdown, in milliseconds. */
const RETRY_MS = 2_000;

/** Writes items until they end, the reader leaves or the signal aborts; the head must have been written. Never rejects on a lost reader. */
export async function writeEvents(
  response: ServerResponse,
  items: AsyncIterable<SseItem>,
  options: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  const { clock, signal } = options;
  let cancel = clock.after(SSE_COMMENT_MS, beat);
  function beat(): void {
    if (!response.writableNeedDrain) response.write(': still here\n\n');
    cancel = clock.after(SSE_COMMENT_MS, beat);
  }
  try {
    for await (const item of items) {
      if (response.destroyed) break;
      if (!response.write(eventText(item))) await once(response, 'drain', { signal });
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    cancel();
    if (!response.destroyed) response.end(signal.aborted ? `retry: ${RETRY_MS}\n\n` : undefined);
  }
}

/** One item in the event stream's own notation; a line break in its data makes a further data line. */
export function eventText(item: SseItem): string {
  let text = '';
  if (item.comment !== undefined) text += `: ${oneLine(item.comment)}\n`;
  if (item.retryMs !== undefined) text += `retry: ${item.retryMs}\n`;
  if (item.id !== undefined) text += `id: ${oneLine(item.id)}\n`;
  if (item.event !== undefined) text += `event: ${oneLine(item.event)}\n`;
  if (item.data !== undefined) for (const line of item.data.split(/\r\n|\r|\n/)) text += `data: ${line}\n`;
  return `${text}\n`;
}

function oneLine(text: string): string {
  return text.replace(/[\r\n]+/g, ' ');
}
