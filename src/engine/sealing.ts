// What a task with a key of its own (`encrypt_to`) leaves, encrypted before it is written anywhere (`SAM-177`). Only checkpoints are
// kept readable, because the next attempt needs them, and are dropped at the end.

import { DomainError } from '../domain/errors.ts';
import type { EventBody } from '../domain/event.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import type { TaskError, TaskSpec } from '../domain/task.ts';
import type { Draft } from './changes.ts';
import type { NewArtifact } from './ports/executor.ts';
import type { Sealer } from './ports/sealer.ts';

/** A file is encrypted whole in memory, so it may be at most this large. */
export const SEALED_FILE_BYTES_MAX = 64 * 1024 * 1024;

/** What an encrypted file is, whatever it was. */
export const SEALED_MEDIA_TYPE = 'application/jose';

type Seal = (value: Json) => Promise<JsonObject>;

/** The key to which everything the task leaves is encrypted. */
export function sealingKeyOf(spec: Pick<TaskSpec, 'notification'>): JsonObject | undefined {
  return spec.notification?.encryptTo;
}

/** The change with its output, intermediate results and the attempt's errors encrypted; one that ends the task drops its checkpoint. */
export async function sealDraft(draft: Draft, key: JsonObject, sealer: Sealer): Promise<Draft> {
  const seal: Seal = async value => {
    const text = Buffer.from(JSON.stringify(value));
    return { jwe: await sealer.seal(key, text, 'application/json') };
  };
  // What the system says of a task quotes nothing of it, and stays readable.
  const saidByAgent = draft.events.some(event => event.kind === 'state' && event.actor.startsWith('agent:'));
  const { output, error, ...rest } = draft.result ?? { metrics: {} };
  return {
    ...draft,
    events: await Promise.all(draft.events.map(event => sealEvent(event, seal, saidByAgent))),
    ...(draft.result === undefined
      ? {}
      : {
          result: {
            ...rest,
            ...(output === undefined ? {} : { output: await seal(output) }),
            ...(error === undefined ? {} : { error: saidByAgent ? await sealError(error, seal) : error }),
          },
        }),
    ...(draft.outcome === undefined ? {} : { checkpoint: null }),
  };
}

/** The file's bytes encrypted; throws `payload_too_large` for one over `SEALED_FILE_BYTES_MAX`. */
export async function sealFile(
  { source, mediaType }: Pick<NewArtifact, 'source' | 'mediaType'>,
  key: JsonObject,
  sealer: Sealer,
): Promise<Uint8Array> {
  return Buffer.from(await sealer.seal(key, await sealable(source), mediaType));
}

/** All of a file that is to be encrypted; throws `payload_too_large` for one over `SEALED_FILE_BYTES_MAX`. */
export async function sealable(source: NewArtifact['source']): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of source instanceof Uint8Array ? [source] : source) {
    const bytes = Buffer.from(chunk);
    sizeBytes += bytes.length;
    if (sizeBytes > SEALED_FILE_BYTES_MAX) throw tooLarge();
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

function tooLarge(): DomainError {
  return new DomainError(
    'payload_too_large',
    `an artifact of a task with encrypt_to may have ${SEALED_FILE_BYTES_MAX} bytes at most`,
    { details: { limit_bytes: SEALED_FILE_BYTES_MAX } },
  );
}

async function sealEvent(event: EventBody, seal: Seal, saidByAgent: boolean): Promise<EventBody> {
  if (event.kind === 'progress' && event.intermediate !== undefined)
    return { ...event, intermediate: await seal(event.intermediate) };
  if (event.kind === 'state' && event.error !== undefined && saidByAgent)
    return { ...event, error: await sealError(event.error, seal) };
  return event;
}

async function sealError(
  { code, recoverable, message, details = {} }: TaskError,
  seal: Seal,
): Promise<TaskError> {
  return {
    code,
    recoverable,
    message: 'the attempt failed; how is told in details.jwe, to the key of the task alone',
    details: await seal({ message, details }),
  };
}
