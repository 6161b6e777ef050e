// Reads a URL of any size through a port that answers whole bodies: piece by piece where the server knows ranges, else at once.

import { DomainError } from '../../domain/errors.ts';
import type { Outbound, OutboundAnswer } from '../../engine/ports/outbound.ts';

const PIECE_BYTES = 8 * 1_048_576;
/** A server that does not know ranges makes this process hold the whole body. */
const WHOLE_BYTES_MAX = 256 * 1_048_576;
const PIECE_MS_MAX = 60_000;
const REDIRECTS_MAX = 5;

/** A body on its way: its size in bytes, 0 where unknown, and its pieces in order. */
export interface Download {
  readonly total: number;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/**
 * Begins to read the URL, following up to five redirects, each through the guard. Throws what `Outbound.send` throws;
 * `dependency_failed` for an answer worth another attempt (408, 429, 5xx, a file that changed meanwhile), `task_failed` for others.
 */
export async function download(url: string, outbound: Outbound, signal: AbortSignal): Promise<Download> {
  const read = (from: string, start: number, validator: string | undefined): Promise<OutboundAnswer> =>
    outbound.send({
      url: from,
      method: 'GET',
      headers: {
        // A coding would be undone on the way, and ranges count coded bytes.
        'accept-encoding': 'identity',
        range: `bytes=${start}-${start + PIECE_BYTES - 1}`,
        ...(validator === undefined ? {} : { 'if-range': validator }),
      },
      timeoutMs: PIECE_MS_MAX,
      answerBytesMax: WHOLE_BYTES_MAX,
      signal,
    });

  const { from, answer } = await followed(url, at => read(at, 0, undefined));
  if (answer.status !== 206) return { total: answer.body.length, chunks: once(answer.body) };
  const range = rangeOf(answer, url, 0);
  const validator = validatorOf(answer);
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    yield answer.body;
    for (let at = range.end + 1; at < range.total; ) {
      const next = await read(from, at, validator);
      if (next.status !== 206) throw refusal(next, url, 'the file changed while it was read');
      const { end, total } = rangeOf(next, url, at);
      if (total !== range.total) throw refusal(next, url, 'the file changed while it was read');
      yield next.body;
      at = end + 1;
    }
  };
  return { total: range.total, chunks: chunks() };
}

async function followed(
  url: string,
  read: (url: string) => Promise<OutboundAnswer>,
): Promise<{ readonly from: string; readonly answer: OutboundAnswer }> {
  let from = url;
  for (let hops = 0; hops <= REDIRECTS_MAX; hops++) {
    const answer = await read(from);
    const { location } = answer.headers;
    if (
      answer.status >= 300 &&
      answer.status < 400 &&
      location !== undefined &&
      URL.canParse(location, from)
    ) {
      from = new URL(location, from).href;
      continue;
    }
    // An empty file satisfies no range at all.
    if (answer.status === 416) return { from, answer: { ...answer, status: 200, body: new Uint8Array() } };
    if (answer.status !== 200 && answer.status !== 206)
      throw refusal(answer, url, `answered ${answer.status}`);
    return { from, answer };
  }
  throw new DomainError('task_failed', `${hostOf(url)} redirected more than ${REDIRECTS_MAX} times`);
}

/** The bytes an answer holds of the whole, its end included. */
function rangeOf(
  answer: OutboundAnswer,
  url: string,
  start: number,
): { readonly end: number; readonly total: number } {
  const found = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(answer.headers['content-range'] ?? '');
  const [first, end, total] = (found ?? []).slice(1).map(Number);
  if (first !== start || end === undefined || total === undefined || answer.body.length !== end - start + 1) {
    throw refusal(answer, url, 'answered another part of the file than was asked for');
  }
  return { end, total };
}

/** What names this version of the file for `If-Range`, which takes no weak tags. */
function validatorOf({ headers }: OutboundAnswer): string | undefined {
  const { etag } = headers;
  return etag !== undefined && !etag.startsWith('W/') ? etag : headers['last-modified'];
}

function refusal({ status }: OutboundAnswer, url: string, what: string): DomainError {
  const transient = status < 400 || status === 408 || status === 429 || status >= 500;
  return new DomainError(transient ? 'dependency_failed' : 'task_failed', `${hostOf(url)}: ${what}`, {
    details: { host: hostOf(url), status },
  });
}

function hostOf(url: string): string {
  return new URL(url).host;
}

async function* once(body: Uint8Array): AsyncGenerator<Uint8Array> {
  yield body;
}
