// Turns a notification into the bytes of its request, in the format and coding its receiver asked for (`SAM-84`).

import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { Packr } from 'msgpackr';
import type { ChannelMessage } from '../../engine/ports/channel.ts';

/** A finished body and the headers that describe it. */
export interface WebhookBody {
  readonly bytes: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

const COMPRESS_ABOVE_BYTES = 1_024;
const compress = promisify(gzip);
// Plain maps, which every MessagePack library reads.
const packr = new Packr({ useRecords: false, variableMapSize: true });

/** The bytes as they go on the wire: JSON unless MessagePack was asked for, gzipped only when asked for and over 1 KiB. */
export async function encodeBody(
  message: Pick<ChannelMessage, 'body' | 'format' | 'encoding'>,
): Promise<WebhookBody> {
  const json = JSON.stringify(message.body);
  // By way of JSON, so that absent fields are absent in both formats.
  const bytes = message.format === 'msgpack' ? packr.pack(JSON.parse(json)) : Buffer.from(json);
  const headers = { 'content-type': `application/${message.format ?? 'json'}` };
  if (message.encoding === undefined || bytes.length <= COMPRESS_ABOVE_BYTES) return { bytes, headers };
  return { bytes: await compress(bytes), headers: { ...headers, 'content-encoding': message.encoding } };
}
