// What of a request authentication is shown.

import type { AuthRequest } from '../guards/authentication.ts';
import type { HeaderSet } from '../guards/hmac.ts';
import type { Exchange } from './exchange.ts';
import { certificateOf } from './privacy.ts';

/** A request as authentication looks at it; `body` is null where it has not been read, or is streamed. */
export function presented(exchange: Exchange, body: Uint8Array | null): AuthRequest {
  const { raw } = exchange.request;
  const { method, url = '' } = raw;
  const mark = url.indexOf('?');
  const declared = exchange.headers['x-checksum-sha256'];
  return {
    method: method ?? exchange.request.method,
    path: mark === -1 ? url : url.slice(0, mark),
    query: mark === -1 ? '' : url.slice(mark + 1),
    headers: body === null ? exchange.headers : singleOrRepeated(raw.headersDistinct),
    body,
    // A streamed body is signed by the digest it declares, which its receiver holds it to (`SAM-72`).
    ...(exchange.isStreamed && declared !== undefined ? { bodySha256: declared.toLowerCase() } : {}),
    sourceAddress: exchange.sourceAddress,
    ...certificateOf(raw),
    requestId: exchange.requestId,
  };
}

/** Signatures tell a header sent twice from one with a comma in it (`SAM-25`). */
function singleOrRepeated(distinct: NodeJS.Dict<string[]>): HeaderSet {
  return Object.fromEntries(
    Object.entries(distinct).map(([name, values = []]) => [name, values.length === 1 ? values[0] : values]),
  );
}
