// What is said of the version a caller speaks.

import type { Dialect } from './dialect.ts';

/** An old version's end is told with every answer to who speaks it; `spoken` are the versions of the messages answered. */
export function versionHeaders(
  { versions }: Pick<Dialect, 'versions'>,
  spoken: readonly (string | null)[],
): Readonly<Record<string, string>> {
  const old = versions.find(one => one.deprecatedAt !== undefined && spoken.includes(one.version));
  if (old?.deprecatedAt === undefined) return {};
  return {
    deprecation: `@${Math.floor(Date.parse(old.deprecatedAt) / 1_000)}`,
    ...(old.sunsetAt === undefined ? {} : { sunset: new Date(old.sunsetAt).toUTCString() }),
  };
}
