// What the tests of these files share: reading them as what they are, and the environment that a deployment is given.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { absent } from '../test/absent.ts';

/** What YAML can say. */
export type Yaml = null | boolean | number | string | readonly Yaml[] | YamlMap;

/** A mapping of YAML. */
export interface YamlMap {
  readonly [key: string]: Yaml;
}

/** The path of a file here. */
export function pathOf(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

/** The text of a file here. */
export function textOf(name: string): string {
  return readFileSync(pathOf(name), 'utf8');
}

/** The documents of a YAML file here; throws for what is doubtful: doubled keys, unknown tags, anchors that are missing. */
export function yamlOf(name: string): readonly YamlMap[] {
  return parseAllDocuments(textOf(name), { merge: true, strict: true, uniqueKeys: true }).map(document => {
    const [fault] = [...document.errors, ...document.warnings];
    if (fault !== undefined) throw new Error(`${name}: ${fault.message}`);
    return document.toJS() as YamlMap;
  });
}

/** The value at a path of keys and indexes; throws where there is none. */
export function at(value: Yaml | undefined, ...path: readonly (string | number)[]): Yaml {
  let found: Yaml | undefined = value;
  for (const step of path)
    found = (found as Readonly<Record<string | number, Yaml>> | null | undefined)?.[step];
  if (found === undefined) throw new Error(`there is no ${path.join('.')}`);
  return found;
}

/** The keys a deployment shares, as the script makes them. */
export function madeKeys(): Readonly<Record<string, string>> {
  const lines = execFileSync('sh', [pathOf('make-keys.sh')], { encoding: 'utf8' })
    .trim()
    .split('\n');
  return Object.fromEntries(
    lines.map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

/** Why there is no such judge here, or false. */
export function missing(command: string, args: readonly string[]): string | false {
  try {
    execFileSync(command, [...args], { stdio: 'ignore' });
    return false;
  } catch {
    return absent(`there is no ${command}, which judges the files of deploy/`);
  }
}
