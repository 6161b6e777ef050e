// What an agent has to know of a wire: how to read a message of it, and how to word what it has to say. One table a wire (wordings.ts);
// whoever speaks another brings a table of their own.

import type { Json, JsonObject } from '../domain/json.ts';

/** What a message is, whatever its wire calls it. */
export type LetterKind =
  /** Asks for work. */
  | 'task_request'
  /** Asks whoever does the work to stop, pause or go on. */
  | 'task_control'
  /** Tells that a request or command was taken in. */
  | 'accepted'
  /** Tells how far work is. */
  | 'progress'
  /** Tells how work ended. */
  | 'outcome'
  /** Tells that something went wrong. */
  | 'error'
  | 'message';

/** The work a message asks for. */
export interface LetterTask {
  readonly id: string;
  /** The name of the work; agents say which they can do. */
  readonly type: string;
  readonly description: string;
  /** The work itself. */
  readonly input: Json;
  /** What else its wire says of it. */
  readonly context: JsonObject;
}

/** What went wrong, as a message tells it. */
export interface LetterFault {
  readonly code: string;
  readonly message: string;
  readonly recoverable: boolean;
  readonly details: JsonObject;
}

/** A message as it is read. */
export interface Letter {
  readonly id: string;
  readonly kind: LetterKind;
  /** In its wire's words. */
  readonly type: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly correlationId: string;
  /** The message it answers. */
  readonly replyTo: string | null;
  readonly taskId: string | null;
  readonly payload: Json;
  /** Of a `task_request`. */
  readonly task: LetterTask | null;
  /** Of an `outcome` that went well. */
  readonly result: Json;
  /** Of an `error`, or an `outcome` that did not go well. */
  readonly fault: LetterFault | null;
  /** All of it. */
  readonly envelope: JsonObject;
}

/** Something to say, before its envelope. */
export interface Words {
  readonly type: string;
  readonly to: string | readonly string[];
  readonly payload: Json;
  readonly taskId?: string;
}

/** What stands on every envelope. */
export interface Heading {
  readonly id: string;
  /** Epoch milliseconds. */
  readonly now: number;
  readonly self: Self;
  /** The message that is answered. */
  readonly answers?: Letter | undefined;
  readonly correlationId?: string | undefined;
  readonly priority?: string | number | undefined;
  /** Epoch milliseconds. */
  readonly expiresAt?: number | undefined;
}

/** Who speaks. */
export interface Self {
  readonly id: string;
  /** The first is the one it speaks in where the wire knows roles. */
  readonly roles: readonly string[];
  readonly tenant: string;
}

/** A task to ask somebody for. */
export interface TaskWish {
  readonly id: string;
  readonly type: string;
  readonly description: string;
  readonly input: JsonObject;
  readonly to: string;
}

/** Something to keep. */
export interface Memo {
  readonly key: string;
  readonly value: Json;
  readonly ttlMs?: number | undefined;
  readonly tags?: readonly string[] | undefined;
}

/** What to look for among what was kept. */
export interface Recollection {
  readonly text: string;
  readonly limit?: number | undefined;
  readonly tags?: readonly string[] | undefined;
}

/** A wire as an agent speaks it; null where the wire has no words for something. */
export interface Wording {
  /** The wire's name in paths. */
  readonly name: string;
  /** What an agent registers as the work it takes, of the names of its skills; absent: itself. */
  skillTypes?(skills: readonly string[], self: Self): readonly string[];
  read(envelope: JsonObject): Letter;
  envelope(words: Words, heading: Heading): JsonObject;
  request(wish: TaskWish): Words;
  progress(request: Letter, report: { readonly percentage: number; readonly note: string }): Words | null;
  completed(request: Letter, result: Json): Words;
  failed(request: Letter, fault: LetterFault): Words;
  /** An answer to a message that asks for no work. */
  reply(letter: Letter, payload: Json): Words;
  /** That an order to stop was obeyed; absent where nobody waits for that. */
  confirm?(order: Letter): Words;
  event(topic: string, data: Json): Words | null;
  remember(memo: Memo): Words | null;
  recall(recollection: Recollection): Words | null;
}

/** The object, or an empty one. */
export function objectIn(value: Json | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

/** The text, or what stands for it. */
export function textIn(value: Json | undefined, instead = ''): string {
  return typeof value === 'string' ? value : instead;
}

/** The text, or null. */
export function textOrNull(value: Json | undefined): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

/** One name or several, as several. */
export function namesIn(value: Json | undefined): readonly string[] {
  return Array.isArray(value) ? value.map(String) : typeof value === 'string' ? [value] : [];
}

/** A fault as most wires write it. */
export function faultIn(value: Json | undefined): LetterFault {
  const body = objectIn(value);
  return {
    code: textIn(body.code, textIn(body.error_code, 'UNKNOWN')),
    message: textIn(body.message, textIn(body.reason, 'something went wrong')),
    recoverable: body.recoverable === true || body.retry_suggested === true,
    details: objectIn(body.details ?? body.context),
  };
}

/** A letter whose particulars are filled in over these. */
export function blankLetter(envelope: JsonObject, id: string): Letter {
  return {
    ...{ id, kind: 'message', type: '', from: '', to: [], correlationId: id, replyTo: null, taskId: null },
    ...{ payload: null, task: null, result: null, fault: null, envelope },
  };
}

/** An instant as every wire writes it. */
export function isoOf(at: number): string {
  return new Date(at).toISOString();
}

/** A fault without what only some wires have. */
export function plainFault({ code, message, recoverable, details }: LetterFault): JsonObject {
  return { code, message, recoverable, details };
}

/** A heading's reading of a request's particulars from where its wire keeps them. */
export function taskOf(
  payload: JsonObject,
  fields: { readonly type: string; readonly input: string },
  context: JsonObject,
): NonNullable<Letter['task']> {
  return {
    id: textIn(payload.task_id),
    type: textIn(payload[fields.type]),
    description: textIn(payload.description, textIn(objectIn(context.metadata).description)),
    input: payload[fields.input] ?? {},
    context,
  };
}

/** The value itself where it is an object, else an object that has it under a name. */
export function objectOr(name: string, value: Json): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : { [name]: value };
}

/** The fault told, or that there was one of which nothing is told. */
export function faultOr(error: Json | undefined, status: string): LetterFault {
  if (typeof error === 'object' && error !== null) return faultIn(error);
  return { code: status.toUpperCase(), message: `the task ended ${status}`, recoverable: false, details: {} };
}
