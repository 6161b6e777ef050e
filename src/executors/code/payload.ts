// The task_data of a code_execution task: its schema, what may not stand together, and its meaning (SAM-137).

import { type Static, Type } from 'typebox';
import type { ArtifactId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { ArtifactOfTask } from '../../engine/ports/executor.ts';
import { isPlainName, isPlainPath } from './wasm/names.ts';

/** The languages there are; what a host offers of them is another question. */
export const LANGUAGES = ['javascript', 'python', 'shell', 'native'] as const;

/** A language code can be in. */
export type Language = (typeof LANGUAGES)[number];

const CODE_DESCRIPTION = [
  'The program; alternatively files and entrypoint.',
  'The result of JavaScript is the value of its last expression, what return gives, or its default export, awaited;',
  'it finds args, stdin, inputs, env, restored, console, readInput, writeOutput, progress, checkpoint, setTimeout and fetch.',
  'Others find their directories in BATUTA_WORK, BATUTA_INPUT and BATUTA_OUTPUT, inputs and last checkpoint as JSON in the files',
  'BATUTA_INPUTS and BATUTA_CHECKPOINT, and report by lines on stdout: ::batuta progress=40 step="Parsing" total=5,',
  '::batuta checkpoint={"row":9}, ::batuta result={"rows":10}. Exit code 75 asks for another attempt.',
].join(' ');

const PAYLOAD = Type.Object({
  language: Type.String({ minLength: 1, description: `One of ${LANGUAGES.join(', ')}` }),
  code: Type.Optional(Type.String({ description: CODE_DESCRIPTION })),
  files: Type.Optional(
    Type.Record(Type.String(), Type.String(), { description: 'Source texts by relative path' }),
  ),
  entrypoint: Type.Optional(
    Type.String({ description: 'The file that is run; for native programs the name of an artifact' }),
  ),
  args: Type.Optional(Type.Array(Type.String(), { maxItems: 1_000 })),
  stdin: Type.Optional(Type.String()),
  inputs: Type.Optional(Type.Unknown({ description: 'Any JSON, handed to the program' })),
  artifacts: Type.Optional(
    Type.Array(
      Type.Union([
        Type.String({ description: 'An artifact id' }),
        Type.Object({ artifact_id: Type.String(), name: Type.Optional(Type.String()) }),
        Type.Object(
          { task_id: Type.String(), artifact_name: Type.String(), name: Type.Optional(Type.String()) },
          { description: 'What an earlier task left under this name' },
        ),
      ]),
      { maxItems: 1_000, description: 'Artifacts the program may read' },
    ),
  ),
  network: Type.Optional(
    Type.Object({
      allow: Type.Optional(
        Type.Array(Type.String(), {
          description: 'Hosts fetch may reach: example.org, *.example.org, example.org:8080',
        }),
      ),
    }),
  ),
});

type Payload = Static<typeof PAYLOAD>;

/** JSON Schema of the payload. */
export const CODE_PAYLOAD_SCHEMA = JSON.parse(JSON.stringify(PAYLOAD)) as JsonObject;

/** An artifact the program may read, under its own name unless the task gives another. */
export interface Grant {
  readonly artifact: ArtifactId | ArtifactOfTask;
  readonly name?: string;
}

/** A program as the task describes it. */
export interface CodeJob {
  readonly language: Language;
  /** Source texts by plain path, the entry point among them (not for native programs). */
  readonly files: Readonly<Record<string, string>>;
  readonly entrypoint: string;
  /** True where the task gave files rather than code. */
  readonly hasFiles: boolean;
  readonly args: readonly string[];
  readonly stdin: string;
  readonly inputs: Json;
  readonly grants: readonly Grant[];
  readonly allowedHosts: readonly string[];
}

/** Something wrong with one field. */
export interface FieldError {
  readonly field: string;
  readonly message: string;
}

const MAIN_FILES: Readonly<Record<Language, string>> = {
  javascript: 'main.js',
  python: 'main.py',
  shell: 'main.sh',
  native: 'main',
};

const HOST_PATTERN = /^(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::\d{1,5})?$|^\[[0-9a-f:]+\](?::\d{1,5})?$/i;

/** True for a language there is. */
export function isLanguage(text: string): text is Language {
  return (LANGUAGES as readonly string[]).includes(text);
}

/** What contradicts itself in a payload that fits the schema; empty for one that can be run somewhere. */
export function contradictions(data: JsonObject): FieldError[] {
  const payload = data as unknown as Payload;
  return [...sourceErrors(payload), ...grantErrors(payload), ...textErrors(payload)];
}

/** The program a payload without contradictions describes. */
export function codeJobOf(data: JsonObject): CodeJob {
  const payload = data as unknown as Payload;
  const language = payload.language as Language;
  const entrypoint = payload.entrypoint ?? MAIN_FILES[language];
  return {
    language,
    files: payload.files ?? (payload.code === undefined ? {} : { [entrypoint]: payload.code }),
    entrypoint,
    hasFiles: payload.files !== undefined,
    args: payload.args ?? [],
    stdin: payload.stdin ?? '',
    inputs: (payload.inputs as Json | undefined) ?? null,
    grants: (payload.artifacts ?? []).map(grantOf),
    allowedHosts: payload.network?.allow ?? [],
  };
}

/** True where the hosts a task may reach include this URL's. */
export function isAllowed(url: URL, allowedHosts: readonly string[]): boolean {
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  return allowedHosts.some(allowed => {
    const [, host = '', allowedPort] = /^(.*?)(?::(\d+))?$/.exec(allowed.toLowerCase()) ?? [];
    if (allowedPort !== undefined && allowedPort !== port) return false;
    return host.startsWith('*.') ? url.hostname.endsWith(host.slice(1)) : url.hostname === host;
  });
}

function grantOf(given: NonNullable<Payload['artifacts']>[number]): Grant {
  if (typeof given === 'string') return { artifact: given as ArtifactId };
  const artifact =
    'task_id' in given
      ? { taskId: given.task_id, name: given.artifact_name }
      : (given.artifact_id as ArtifactId);
  return given.name === undefined ? { artifact } : { artifact, name: given.name };
}

function* sourceErrors({ language, code, files, entrypoint, artifacts }: Payload): Generator<FieldError> {
  if (language === 'native') {
    if (code !== undefined) yield error('code', 'a native program is an artifact, not code');
    if (entrypoint === undefined) yield error('entrypoint', 'names the artifact that is the program');
    if ((artifacts ?? []).length === 0) yield error('artifacts', 'holds the program');
  } else if (files === undefined) {
    if (code === undefined) yield error('code', 'either code or files with an entrypoint is needed');
  } else {
    if (code !== undefined) yield error('files', 'code and files exclude each other');
    if (entrypoint === undefined) yield error('entrypoint', 'is needed with files');
    else if (!Object.hasOwn(files, entrypoint)) yield error('entrypoint', 'is not one of the files');
  }
  for (const name of Object.keys(files ?? {}))
    if (!isPlainPath(name)) yield error(`files.${name}`, 'is not a plain relative path');
  if (entrypoint !== undefined && !isPlainPath(entrypoint))
    yield error('entrypoint', 'is not a plain relative path');
}

function* grantErrors({ artifacts = [] }: Payload): Generator<FieldError> {
  const names = new Set<string>();
  for (const [index, { name }] of artifacts.map(grantOf).entries()) {
    if (name === undefined) continue;
    if (!isPlainName(name)) yield error(`artifacts.${index}.name`, 'is not a plain file name');
    if (names.has(name)) yield error(`artifacts.${index}.name`, 'is the name of another artifact');
    names.add(name);
  }
}

function* textErrors({ args = [], network }: Payload): Generator<FieldError> {
  for (const [index, text] of args.entries())
    if (text.includes('\0')) yield error(`args.${index}`, 'holds a NUL');
  for (const [index, host] of (network?.allow ?? []).entries())
    if (!HOST_PATTERN.test(host)) yield error(`network.allow.${index}`, 'is not a host');
}

function error(field: string, message: string): FieldError {
  return { field: `task_data.${field}`, message };
}
