// Conditional and partial reading of what does not change: entity tags and byte ranges (`SAM-55`, `SAM-73`).

/** True where the caller's `If-None-Match` says that it already has what bears the tag. */
export function isCurrent(tag: string, ifNoneMatch: string | undefined): boolean {
  if (ifNoneMatch === undefined) return false;
  const wanted = opaque(tag);
  return ifNoneMatch.split(',').some(one => one.trim() === '*' || opaque(one) === wanted);
}

/** A tag without its mark of weakness, which `If-None-Match` disregards. */
function opaque(tag: string): string {
  return tag.trim().replace(/^W\//, '');
}

/** What a `Range` header asks of so many bytes: all of them, a part (both ends included), or nothing there is. */
export type Wanted =
  | { readonly kind: 'all' }
  | { readonly kind: 'part'; readonly start: number; readonly end: number }
  | { readonly kind: 'unsatisfiable' };

/** Reads a `Range` header; several ranges, other units and nonsense are answered with everything, as RFC 9110 allows. */
export function rangeOf(header: string | undefined, sizeBytes: number): Wanted {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return { kind: 'all' };
  if (first === '') {
    const count = Math.min(Number(last), sizeBytes);
    return count === 0
      ? { kind: 'unsatisfiable' }
      : { kind: 'part', start: sizeBytes - count, end: sizeBytes - 1 };
  }
  const start = Number(first);
  const end = last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1);
  if (start >= sizeBytes) return { kind: 'unsatisfiable' };
  return start > end ? { kind: 'all' } : { kind: 'part', start, end };
}
