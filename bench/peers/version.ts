// Which version of a peer is installed.

import { readFileSync } from 'node:fs';

/** The version of a package installed beside this file. */
export function versionOf(name: string): string {
  const manifest = new URL(`node_modules/${name}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(manifest, 'utf8')).version;
}
