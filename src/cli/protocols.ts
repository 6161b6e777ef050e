// What the commands for messages share: which wire is meant, and messages from files.

import { isJsonObject, type Json, type JsonObject } from '../domain/json.ts';
import type { Flags, OptionSpec } from './command.ts';
import { UsageError } from './failure.ts';
import type { CliHost } from './host.ts';
import { valueFrom } from './json-source.ts';

/** The wires messages are written in. */
export const PROTOCOLS = ['army', 'task', 'blog', 'nooble'] as const;

/** Says which wire. */
export const protocolOption: OptionSpec = {
  flags: '-p, --protocol <name>',
  description: 'the wire the messages are written in',
  choices: PROTOCOLS,
};

/** The wire that was named; throws `UsageError` where none was. */
export function protocolIn(flags: Flags): string {
  const name = flags.text('protocol');
  if (name !== undefined) return name;
  throw new UsageError('--protocol is missing', `one of ${PROTOCOLS.join(', ')}`);
}

/** The JSON of a file, or of standard input as `-`. */
export async function fileIn(name: string | undefined, host: Pick<CliHost, 'readStdin'>): Promise<Json> {
  if (name === undefined) throw new UsageError('a file is missing', '- reads standard input');
  const value = await valueFrom(
    name === '-' ? '-' : `@${name}`,
    name === '-' ? 'standard input' : name,
    host,
  );
  return value as Json;
}

/** One message or several, as several; throws `UsageError` for what cannot be one. */
export function messagesIn(value: Json): readonly JsonObject[] {
  const all = Array.isArray(value) ? (value as readonly Json[]) : [value];
  if (all.length > 0 && all.every(isJsonObject)) return all as readonly JsonObject[];
  throw new UsageError('a message is a JSON object; several are an array of them');
}
