// Reads an answer's body: decompressed, and never more of it than was asked for.

import { pipeline, type Readable } from 'node:stream';
import { constants, createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { DomainError } from '../../domain/errors.ts';

/** How much of an answer to read. */
export interface AnswerLimit {
  /** Decompressed. */
  readonly answerBytesMax: number;
  /** Keep the first bytes of a longer answer, instead of failing. */
  readonly truncate?: boolean;
}

/** The whole body, or its first bytes with `truncate`; else throws `payload_too_large` as soon as it exceeds the limit. */
export async function readBody(
  body: Readable,
  encoding: string | undefined,
  limit: AnswerLimit,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bodyOf(body, encoding, limit)) chunks.push(chunk);
  const [first] = chunks;
  return chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks);
}

/** The same, piece by piece as it comes. */
export async function* bodyOf(
  body: Readable,
  encoding: string | undefined,
  limit: AnswerLimit,
): AsyncGenerator<Uint8Array, void> {
  let room = limit.answerBytesMax;
  for await (const chunk of decoded(body, encoding)) {
    const bytes = chunk as Buffer;
    if (bytes.length > room) {
      if (limit.truncate !== true)
        throw new DomainError('payload_too_large', `the answer is larger than ${limit.answerBytesMax} bytes`);
      yield bytes.subarray(0, room);
      break;
    }
    room -= bytes.length;
    yield bytes;
  }
}

/** Undoes one known coding. Others, and several at once (a bomb in a bomb), stay as they are, their header telling so. */
function decoded(body: Readable, encoding: string | undefined): Readable {
  const decoder = decoderOf(encoding?.trim().toLowerCase());
  // The callback is for the pipeline's sake: the reader of the decoder hears of every error.
  return decoder === null ? body : pipeline(body, decoder, () => {});
}

// The flush makes an empty body (HEAD, 204) decode to nothing instead of failing.
function decoderOf(encoding: string | undefined) {
  switch (encoding) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip({ finishFlush: constants.Z_SYNC_FLUSH });
    case 'deflate':
      return createInflate({ finishFlush: constants.Z_SYNC_FLUSH });
    case 'br':
      return createBrotliDecompress({ finishFlush: constants.BROTLI_OPERATION_FLUSH });
    default:
      return null;
  }
}
