// JSON that a call is given: as it stands, from `@file`, or from standard input as `-`.

import { readFileSync } from 'node:fs';
import { isJsonObject, type JsonObject } from '../domain/json.ts';
import { UsageError } from './failure.ts';
import type { CliHost } from './host.ts';

/** The JSON value of a flag; throws `UsageError` for what cannot be read or is none. */
export async function valueFrom(
  source: string,
  flag: string,
  host: Pick<CliHost, 'readStdin'>,
): Promise<unknown> {
  const text =
    source === '-'
      ? await host.readStdin()
      : source.startsWith('@')
        ? fileText(source.slice(1), flag)
        : source;
  try {
    return JSON.parse(text);
  } catch (error) {
    const hint =
      source.startsWith('@') || source === '-' ? undefined : 'quote it for the shell, or use @file';
    throw new UsageError(
      `${flag} is not JSON: ${error instanceof Error ? error.message : String(error)}`,
      hint,
    );
  }
}

/** As `valueFrom`, of a value that must be an object. */
export async function jsonFrom(
  source: string,
  flag: string,
  host: Pick<CliHost, 'readStdin'>,
): Promise<JsonObject> {
  const value = await valueFrom(source, flag, host);
  if (isJsonObject(value)) return value;
  throw new UsageError(
    `${flag} must be a JSON object, not ${Array.isArray(value) ? 'an array' : JSON.stringify(value)}`,
  );
}

function fileText(path: string, flag: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`${flag} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}
