// Completion scripts, written from the commands' own words: whatever a command learns, its completion knows.

import { type CommandSpec, type OptionSpec, optionsOf } from './command.ts';

interface ParsedOption {
  readonly short: string | null;
  readonly long: string;
  /** What its value is called, or null where it takes none. */
  readonly value: string | null;
  readonly choices: readonly string[];
  readonly description: string;
}

/** A command that can be run, with the words that lead to it. */
interface Runnable {
  readonly path: string;
  readonly spec: CommandSpec;
  readonly options: readonly ParsedOption[];
}

/** For bash, with nothing but its built-ins. */
export function bashScript(commands: readonly CommandSpec[]): string {
  const runnables = runnablesOf(commands);
  const paths = pathsOf(commands).map(path => `'${path}'`);
  const values = runnables.flatMap(({ path, options }) =>
    options.flatMap(option => {
      if (option.value === null) return [];
      const names = [option.short, option.long].filter(name => name !== null);
      return [`    ${names.map(name => `'${path} ${name}'`).join(' | ')}) ${bashValue(option)} ;;`];
    }),
  );
  const words = [
    `    '') words='${commands.map(({ name }) => name).join(' ')} --help --version' ;;`,
    ...groupsOf(commands).map(({ name, subcommands = [] }) => {
      const defaults = runnables.find(({ path }) => path === name)?.options ?? [];
      return `    '${name}') words='${[...subcommands.map(child => child.name), ...longsOf(defaults)].join(' ')}' ;;`;
    }),
    ...runnables
      .filter(({ path }) => !groupsOf(commands).some(({ name }) => name === path))
      .map(({ path, spec, options }) => {
        const choices = (spec.positionals ?? []).flatMap(({ choices: given = [] }) => given);
        return `    '${path}') words='${[...choices, ...longsOf(options)].join(' ')}' ;;`;
      }),
  ];
  return [
    '# bash completion for batuta: source <(batuta completion bash)',
    '_batuta() {',
    `  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}`,
    "  local path='' words='' index",
    '  COMPREPLY=()',
    '  for (( index = 1; index < COMP_CWORD; index++ )); do',
    `    case "\${path:+$path }\${COMP_WORDS[index]}" in`,
    `      ${paths.join(' | ')}) path=\${path:+$path }\${COMP_WORDS[index]} ;;`,
    '    esac',
    '  done',
    '  case "$path $previous" in',
    ...values,
    '  esac',
    '  case "$path" in',
    ...words,
    '  esac',
    '  COMPREPLY=( $(compgen -W "$words" -- "$current") )',
    '}',
    'complete -F _batuta batuta',
  ].join('\n');
}

/** For zsh, by its completion system. */
export function zshScript(commands: readonly CommandSpec[]): string {
  const describe = (name: string, listed: readonly CommandSpec[]): string =>
    `    local -a ${name}=(${listed.map(({ name: word, summary }) => zshQuoted(`${word}:${summary}`)).join(' ')})`;
  const cases = commands.flatMap(command => {
    if (command.subcommands === undefined)
      return [`    ${command.name})`, ...zshArguments(command), '      ;;'];
    return [
      `    ${command.name})`,
      `      if (( CURRENT == 3 )) && [[ \${words[3]} != -* ]]; then`,
      `    ${describe('subcommands', command.subcommands)}`,
      "        _describe -t commands 'command' subcommands",
      '        return',
      '      fi',
      `      case \${words[3]} in`,
      ...command.subcommands.flatMap(child => [
        `        ${child.isDefault === true ? `${child.name}|-*` : child.name})`,
        ...zshArguments(child).map(line => `    ${line}`),
        '          ;;',
      ]),
      '      esac',
      '      ;;',
    ];
  });
  return [
    '#compdef batuta',
    `# zsh completion for batuta: batuta completion zsh > "\${fpath[1]}/_batuta"`,
    '_batuta() {',
    '  if (( CURRENT == 2 )); then',
    describe('commands', commands),
    "    _describe -t commands 'batuta command' commands",
    '    return',
    '  fi',
    `  case \${words[2]} in`,
    ...cases,
    '  esac',
    '}',
    `if [[ \${funcstack[1]} == _batuta ]]; then _batuta "$@"; else compdef _batuta batuta; fi`,
  ].join('\n');
}

/** For fish. */
export function fishScript(commands: readonly CommandSpec[]): string {
  const offer = (condition: string, { name, summary }: CommandSpec): string =>
    `complete -c batuta -n ${fishQuoted(condition)} -a ${name} -d ${fishQuoted(summary)}`;
  const lines = commands.flatMap(command => {
    const own = [offer('__fish_use_subcommand', command)];
    if (command.subcommands === undefined)
      return [...own, ...fishOptions(`__fish_seen_subcommand_from ${command.name}`, command)];
    const names = command.subcommands.map(({ name }) => name).join(' ');
    const unnamed = `__fish_seen_subcommand_from ${command.name}; and not __fish_seen_subcommand_from ${names}`;
    return [
      ...own,
      ...command.subcommands.flatMap(child => [
        offer(unnamed, child),
        ...fishOptions(
          child.isDefault === true
            ? unnamed
            : `__fish_seen_subcommand_from ${command.name}; and __fish_seen_subcommand_from ${child.name}`,
          child,
        ),
      ]),
    ];
  });
  return ['# fish completion for batuta', 'complete -c batuta -f', ...lines].join('\n');
}

function runnablesOf(commands: readonly CommandSpec[]): readonly Runnable[] {
  const made = (path: string, spec: CommandSpec): Runnable => ({
    path,
    spec,
    options: optionsOf(spec).map(parsed),
  });
  return commands.flatMap(command =>
    command.subcommands === undefined
      ? [made(command.name, command)]
      : command.subcommands.flatMap(child => [
          made(`${command.name} ${child.name}`, child),
          ...(child.isDefault === true ? [made(command.name, child)] : []),
        ]),
  );
}

function groupsOf(commands: readonly CommandSpec[]): readonly CommandSpec[] {
  return commands.filter(({ subcommands }) => subcommands !== undefined);
}

function pathsOf(commands: readonly CommandSpec[]): readonly string[] {
  return commands.flatMap(({ name, subcommands = [] }) => [
    name,
    ...subcommands.map(child => `${name} ${child.name}`),
  ]);
}

function longsOf(options: readonly ParsedOption[]): readonly string[] {
  return options.map(({ long }) => long);
}

function parsed({ flags, choices = [], description }: OptionSpec): ParsedOption {
  const [, short, long = '', value] = /^(?:(-\w), )?(--[\w-]+)(?: <(.+)>)?$/.exec(flags) ?? [];
  return { short: short ?? null, long, value: value ?? null, choices, description };
}

function bashValue({ choices, value }: ParsedOption): string {
  if (choices.length > 0) return `COMPREPLY=( $(compgen -W '${choices.join(' ')}' -- "$current") ); return`;
  if (value === 'file') return 'COMPREPLY=( $(compgen -f -- "$current") ); return';
  if (value === 'dir') return 'COMPREPLY=( $(compgen -d -- "$current") ); return';
  return 'return';
}

function zshArguments(spec: CommandSpec): readonly string[] {
  const options = optionsOf(spec).map(parsed);
  const described = options.map(option => {
    const label = option.description.replaceAll(/[[\]:\\]/g, character => `\\${character}`);
    const value = option.value === null ? '' : `:${option.value.replaceAll(':', '\\:')}:${zshValue(option)}`;
    const one = (name: string): string => zshQuoted(`${name}[${label}]${value}`);
    return [option.short, option.long]
      .filter(name => name !== null)
      .map(one)
      .join(' ');
  });
  const positionals = (spec.positionals ?? []).map(({ name, choices }) => {
    const values = choices === undefined ? ' ' : `(${choices.join(' ')})`;
    return zshQuoted(`*:${name.replaceAll(/[<>.]/g, '')}:${values}`);
  });
  return [`      _arguments ${[...described, ...positionals].join(' \\\n        ')}`];
}

function zshValue({ choices, value }: ParsedOption): string {
  if (choices.length > 0) return `(${choices.join(' ')})`;
  if (value === 'file') return '_files';
  return value === 'dir' ? '_files -/' : ' ';
}

function fishOptions(condition: string, spec: CommandSpec): readonly string[] {
  const options = optionsOf(spec)
    .map(parsed)
    .map(({ short, long, value, choices, description }) => {
      const names = `${short === null ? '' : ` -s ${short.slice(1)}`} -l ${long.slice(2)}`;
      const files = value === 'file' || value === 'dir' ? ' -r -F' : ' -x';
      const given = choices.length > 0 ? ` -a ${fishQuoted(choices.join(' '))}` : '';
      return `complete -c batuta -n ${fishQuoted(condition)}${names}${value === null ? '' : files}${given} -d ${fishQuoted(description)}`;
    });
  const positionals = (spec.positionals ?? [])
    .flatMap(({ choices = [] }) => choices)
    .map(choice => `complete -c batuta -n ${fishQuoted(condition)} -a ${choice}`);
  return [...options, ...positionals];
}

function zshQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, character => `\\${character}`)}'`;
}
