// What is said of the version a caller speaks.

import type { Dialect } from './dialect.ts';

/** An old version's end is told with every answer to who speaks it, by what the message says or, where it says nothing, the header. */
export function versionHeaders(
  dialect: Pick<Dialect, 'versionOf' | 'versions'>,
  body: unknown,
  header: string | undefined,
): Readonly<Record<string, string>> {
  const spoken = dialect.versionOf(Array.isArray(body) ? body[0] : body) ?? header;
  const old = dialect.versions.find(({ version }) => version === spoken);
  if (old?.deprecatedAt === undefined) return {};
  return {
    deprecation: `@${Math.floor(Date.parse(old.deprecatedAt) / 1_000)}`,
    ...(old.sunsetAt === undefined ? {} : { sunset: new Date(old.sunsetAt).toUTCString() }),
  };
}
