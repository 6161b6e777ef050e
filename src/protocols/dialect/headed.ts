// What stands beside a message where it is handed out, if its wire has such headers (`TASK-43`).

import type { JsonObject } from '../../domain/json.ts';
import type { Message } from '../../domain/message.ts';
import type { Dialect } from './dialect.ts';

/** `headers` with the type of what the message is written in; nothing for a wire without. */
export function headersBeside(
  message: Message,
  { headersOf }: Pick<Dialect, 'headersOf'>,
  mediaType = 'application/json',
): { readonly headers?: JsonObject } {
  return headersOf === undefined ? {} : { headers: { ...headersOf(message), content_type: mediaType } };
}
