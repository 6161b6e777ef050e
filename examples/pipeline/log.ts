// A day's access log of a shop: the same one each time, as large as is asked for, a few requests in it failed.

import { closeSync, openSync, writeSync } from 'node:fs';

/** A request that failed, as the filter tells of it. */
export type Failure = { readonly path: string; readonly status: number; readonly ms: number };

/** Failures of one path. */
export type Total = { readonly count: number; readonly ms: number };

const PATHS = ['/', '/cart', '/search', '/checkout', '/login', '/api/stock', '/api/price'] as const;
/** What a log is mostly made of. */
const REST =
  '"https://shop.example/spring?utm_source=newsletter&utm_medium=mail&utm_campaign=spring-2026&utm_content=header" "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0" "TLSv1.3" "TLS_AES_256_GCM_SHA384" "h2"';
const FAILED_EACH = 23;
const BEGAN_AT = Date.UTC(2026, 10, 2);
/** Written at once. */
const LINES = 20_000;

/** Writes at least so many bytes of log; answers how many lines there are, and what is to be found in them. */
export function writeLog(path: string, bytes: number) {
  const totals: Record<string, Total> = {};
  const file = openSync(path, 'wx');
  let lines = 0;
  for (let size = 0; size < bytes; ) {
    let text = '';
    for (const end = lines + LINES; lines < end; lines++) {
      const { path: asked, status, ms } = requestOf(lines);
      text += `${new Date(BEGAN_AT + lines * 37).toISOString()} 203.0.113.${lines % 256} GET ${asked} ${status} ${ms} ${REST}\n`;
      if (status < 500) continue;
      const { count, ms: before } = totals[asked] ?? { count: 0, ms: 0 };
      totals[asked] = { count: count + 1, ms: before + ms };
    }
    size += writeSync(file, text);
  }
  closeSync(file);
  return { lines, totals };
}

/** What failed among these lines. */
export function* failuresIn(lines: string): Generator<Failure> {
  for (const [, path = '', status, ms] of lines.matchAll(/ GET (\S+) (5\d\d) (\d+) /g))
    yield { path, status: Number(status), ms: Number(ms) };
}

function requestOf(line: number): Failure {
  const path = PATHS[(line * 31 + Math.floor(line / 11)) % PATHS.length] ?? '/';
  const failed = line % FAILED_EACH === 0;
  return { path, status: failed ? 500 + (line % 4) : 200, ms: 1 + ((line * 7_919) % 997) };
}
