// Turns a payload into the conversation a model is asked to continue: templates filled, and what was said of form and tone put in
// words.

import type { Readable } from 'node:stream';
import { DomainError } from '../../domain/errors.ts';
import type { ArtifactId } from '../../domain/ids.ts';
import type { Json } from '../../domain/json.ts';
import type { AttemptContext } from '../../engine/ports/executor.ts';
import type { ModelMessage } from '../../engine/ports/model-provider.ts';
import { FinalError } from './failure.ts';
import type { ContentPayload, Input, TextFormat } from './payload.ts';
import { type Filling, fill, type Values, within } from './template.ts';

const INPUT_BYTES_MAX = 1_024 * 1_024;
const PROMPT_CHARS_MAX = 2_000_000;

const FORM: Readonly<Record<TextFormat, string>> = {
  text: 'plain text without any markup',
  markdown: 'Markdown, and nothing around it',
  html: 'HTML, and nothing around it',
};

/** What templates may name: the task's variables, the payload's over them, and its inputs, which are read here. */
export async function valuesFor(
  payload: ContentPayload,
  context: Pick<AttemptContext, 'task' | 'openArtifact' | 'outputOf'>,
): Promise<Values> {
  const values = new Map<string, Json>([
    ...Object.entries(context.task.spec.variables),
    ...Object.entries(payload.variables ?? {}),
  ]);
  for (const [name, input] of Object.entries(payload.inputs ?? {}))
    values.set(name, await read(name, input, context));
  return values;
}

/** The conversation; throws `task_failed` for an input without the path a template names. */
export function conversationOf(payload: ContentPayload, values: Values): readonly ModelMessage[] {
  let characters = 0;
  const filling: Filling = {
    missing: path => {
      throw new FinalError('task_failed', `{{${path}}} has no value`, { details: { path } });
    },
    put: more => {
      characters += more;
      if (characters > PROMPT_CHARS_MAX) throw tooLong();
    },
  };
  const filled = (text: string): string => fill(text, values, filling);
  const system = [
    ...(payload.system === undefined ? [] : [filled(payload.system)]),
    ...directions(payload),
  ].join('\n\n');
  const said: readonly ModelMessage[] = payload.messages?.map(({ role, content }) => ({
    role,
    text: filled(content),
  })) ?? [{ role: 'user', text: filled(payload.prompt ?? '') }];
  const conversation: readonly ModelMessage[] =
    system === '' ? said : [{ role: 'system', text: system }, ...said];
  if (textOf(conversation).length > PROMPT_CHARS_MAX) throw tooLong();
  return conversation;
}

function tooLong(): FinalError {
  return new FinalError('payload_too_large', `the prompt has over ${PROMPT_CHARS_MAX} characters`, {
    details: { limit: PROMPT_CHARS_MAX },
  });
}

/** Everything said in a conversation, as one text. */
export function textOf(conversation: readonly ModelMessage[]): string {
  return conversation.map(one => (one.role === 'tool' ? JSON.stringify(one.result) : one.text)).join('\n');
}

function directions(payload: ContentPayload): readonly string[] {
  const { kind = 'text', format, output_schema: schema } = payload;
  const wishes = [
    ['Content type', payload.content_type],
    ['Tone', payload.tone],
    ['Length', payload.length],
    ['Language', payload.language],
    ['Audience', payload.audience],
    ['Form', format === undefined || kind !== 'text' ? undefined : FORM[format]],
  ] as const;
  const said = wishes.flatMap(([name, wish]) => (wish === undefined ? [] : [`${name}: ${wish}.`]));
  // Not every provider obeys the schema of a request; every model reads.
  const json =
    schema === undefined
      ? []
      : [
          `Answer with one JSON value and nothing else. It must match this JSON Schema:\n${JSON.stringify(schema)}`,
        ];
  return [...(said.length === 0 ? [] : [said.join('\n')]), ...json];
}

async function read(
  name: string,
  { task_id: task, artifact_id: artifact, path }: Input,
  context: Pick<AttemptContext, 'openArtifact' | 'outputOf'>,
): Promise<Json> {
  const detail = { input: name };
  if (artifact !== undefined) {
    const { stream } = await context.openArtifact(artifact as ArtifactId);
    return await textIn(stream, name);
  }
  const output = await context.outputOf(task ?? '');
  const value = (path === undefined ? [] : path.split('.')).reduce<Json | undefined>(within, output);
  if (value === undefined)
    throw new FinalError('task_failed', `input ${name}: task ${task} has nothing at ${path}`, {
      details: detail,
    });
  return value;
}

async function textIn(stream: Readable, name: string): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of stream) {
    pieces.push(piece as Buffer);
    bytes += (piece as Buffer).length;
    if (bytes > INPUT_BYTES_MAX) {
      const details = { input: name, limit_bytes: INPUT_BYTES_MAX };
      throw new FinalError('payload_too_large', `input ${name} is larger than 1 MiB`, { details });
    }
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces));
  } catch (cause) {
    throw new DomainError('task_failed', `input ${name} is no UTF-8 text`, {
      details: { input: name },
      cause,
    });
  }
}
