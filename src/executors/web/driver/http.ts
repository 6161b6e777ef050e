// What HTTP says of a page, in the words of a task: its failure by status, its file name, its media type.

import { WebError } from '../web-error.ts';

/** Answers that may be another one the next time. */
const PASSING = new Set([408, 425, 429]);

/** The failure a status means: a 4xx page fails, a 5xx one is tried again (`SAM-148`); null for a good one. */
export function statusFault(url: string, status: number): WebError | null {
  if (status < 400) return null;
  const code = status >= 500 || PASSING.has(status) ? 'dependency_failed' : 'task_failed';
  return new WebError(code, `${url} answered ${status}`, { url, status });
}

/** The media type without its parameters. */
export function mediaTypeOf(headers: Readonly<Record<string, string>>): string {
  return (headers['content-type'] ?? 'application/octet-stream').split(';')[0]?.trim().toLowerCase() ?? '';
}

/** A name for a file from where it came; shown, never used as a path. */
export function fileNameOf(disposition: string | undefined, url: string): string {
  const given = /filename="?([^";]+)/i.exec(disposition ?? '')?.[1];
  const last = new URL(url).pathname.split('/').at(-1) ?? '';
  return plainName(given ?? last);
}

/** The last part of a name, without what could mean something to a file system. */
export function plainName(name: string): string {
  const plain = (name.split(/[/\\]/).at(-1) ?? '').replace(/[^\w. -]/g, '_').replace(/^[. ]+/, '');
  return plain === '' ? 'download' : plain.slice(0, 100);
}
