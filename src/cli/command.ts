// What a command is: its words as data, and what it does. Parsing, help and completion are made from the same words.

import { type Command, Option } from 'commander';
import { nearest } from '../app/config.ts';
import type { BatutaClient } from '../sdk/client.ts';
import { type ConnectionFlags, connect } from './connection.ts';
import { UsageError } from './failure.ts';
import type { CliHost } from './host.ts';
import { Output } from './output.ts';

/** An option: `flags` in commander's notation, `--limit <n>`. */
export interface OptionSpec {
  readonly flags: string;
  readonly description: string;
  readonly choices?: readonly string[];
  /** May be given several times, each with one value. */
  readonly repeatable?: boolean;
  /** Must be a whole number in this range. */
  readonly integer?: { readonly min: number; readonly max: number };
}

/** A command as it is written, helped with and completed. */
export interface CommandSpec {
  readonly name: string;
  readonly summary: string;
  readonly positionals?: readonly {
    readonly name: string;
    readonly description: string;
    readonly choices?: readonly string[];
  }[];
  readonly options?: readonly OptionSpec[];
  readonly examples: readonly string[];
  /** Whether it talks to a server; it then takes the flags that say to which. */
  readonly connects: boolean;
  /** The one of its group that is meant where none is named. */
  readonly isDefault?: boolean;
  /** Answers the exit code. */
  readonly run?: (call: CommandCall) => Promise<number>;
  readonly subcommands?: readonly CommandSpec[];
}

/** One call of a command. */
export interface CommandCall {
  readonly host: CliHost;
  readonly output: Output;
  /** The values of its positionals, in order; a variadic one gives several. */
  readonly args: readonly string[];
  readonly flags: Flags;
  /** The server it talks to; throws `UsageError` where the flags make no sense. */
  readonly client: BatutaClient;
}

/** The values of a call's options by their names in camel case. */
export class Flags {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === 'string' ? value : undefined;
  }

  number(name: string): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : Number(text);
  }

  on(name: string): boolean {
    return this.#values[name] === true;
  }

  /** All values of a repeatable option; commas within one separate too. */
  list(name: string): readonly string[] | undefined {
    const value = this.#values[name];
    return Array.isArray(value) ? value.flatMap(one => String(one).split(',')) : undefined;
  }

  /** All values of a repeatable option, as they were given. */
  all(name: string): readonly string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.map(String) : [];
  }
}

/** Options of every command that talks to a server. */
export const CONNECTION_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--url <url>',
    description: 'the server (BATUTA_URL, else credentials.json, else http://127.0.0.1:8400)',
  },
  { flags: '--api-key <key>', description: 'API key (BATUTA_API_KEY)' },
  { flags: '--api-secret <secret>', description: 'its secret (BATUTA_API_SECRET)' },
  { flags: '--token <jwt>', description: 'a token in place of a key (BATUTA_TOKEN)' },
  {
    flags: '--data-dir <dir>',
    description: 'where to look for credentials.json (BATUTA_DATA, else .batuta)',
  },
];

/** Options of every command. */
export const COMMON_OPTIONS: readonly OptionSpec[] = [
  { flags: '--json', description: 'print machine-readable JSON and nothing else' },
  { flags: '--no-color', description: 'no colours (as NO_COLOR)' },
];

/** Every option the command takes, its own first. */
export function optionsOf(spec: CommandSpec): readonly OptionSpec[] {
  return [...(spec.options ?? []), ...(spec.connects ? CONNECTION_OPTIONS : []), ...COMMON_OPTIONS];
}

/** Adds the command to its parent; `ended` gets the exit code of its run. */
export function register(
  parent: Command,
  spec: CommandSpec,
  host: CliHost,
  ended: (exitCode: number) => void,
): void {
  const command = parent.command(spec.name, { isDefault: spec.isDefault === true }).description(spec.summary);
  for (const { name, description } of spec.positionals ?? []) command.argument(name, description);
  for (const child of spec.subcommands ?? []) register(command, child, host, ended);
  const run = spec.run;
  if (run !== undefined) {
    for (const option of optionsOf(spec)) command.addOption(optionOf(option));
    if (spec.isDefault === true) command.allowExcessArguments();
    command.action(async () => {
      if (spec.isDefault === true) refuseStranger(parent, command);
      const values = command.opts();
      const output = new Output(host, { json: values.json === true, color: values.color !== false });
      ended(
        await run({
          host,
          output,
          args: command.args,
          flags: new Flags(values),
          get client() {
            return connect(values as ConnectionFlags, host);
          },
        }),
      );
    });
  }
  const examples = spec.examples.map(example => `  $ ${example}`).join('\n');
  command.addHelpText('after', `\nExamples:\n${examples}`);
}

/** What a group does not know would otherwise be taken for an argument of its default. */
function refuseStranger(group: Command, command: Command): void {
  const stranger = command.args[command.registeredArguments.length];
  if (stranger === undefined) return;
  const meant = nearest(
    stranger,
    group.commands.map(child => child.name()),
  );
  throw new UsageError(
    `${group.name()} has no command "${stranger}"`,
    meant === null ? `batuta ${group.name()} --help lists them` : `did you mean ${meant}?`,
  );
}

function optionOf({ flags, description, choices, repeatable, integer }: OptionSpec): Option {
  const option = new Option(flags, description);
  if (choices !== undefined) option.choices(choices);
  if (repeatable === true)
    option.argParser((value: string, earlier: readonly string[] = []) => [...earlier, value]);
  if (integer !== undefined) option.argParser((value: string) => wholeNumber(value, flags, integer));
  return option;
}

function wholeNumber(
  value: string,
  flags: string,
  { min, max }: { readonly min: number; readonly max: number },
): string {
  const number = Number(value);
  if (value.trim() !== '' && Number.isInteger(number) && number >= min && number <= max) return value;
  const name = flags.split(' ').find(part => part.startsWith('--')) ?? flags;
  throw new UsageError(`${name} must be a whole number from ${min} to ${max}, not "${value}"`);
}

/** An instant as the wire writes it, from itself or from an age (`90s`, `10m`, `2h`, `7d`). */
export function instantFrom(text: string, now: number, name: string): string {
  const [, count, unit] = /^(\d+)(s|m|h|d)$/.exec(text) ?? [];
  if (count !== undefined) {
    const seconds = { s: 1, m: 60, h: 3_600, d: 86_400 }[unit as 's' | 'm' | 'h' | 'd'];
    return new Date(now - Number(count) * seconds * 1_000).toISOString();
  }
  const at = Date.parse(text);
  if (Number.isNaN(at))
    throw new UsageError(
      `${name} "${text}" is no instant`,
      'write 2026-01-31T12:00:00Z, or an age such as 10m',
    );
  return new Date(at).toISOString();
}
