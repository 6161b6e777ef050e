// Envelopes as the guards of messages see them: JSON objects of which a wire has told where the signature, the instant and the
// confidential members are. Nothing here knows a wire.

import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';

/** The names that lead from an envelope to one of its members: `['metadata', 'signature']`. */
export type MemberPath = readonly [string, ...string[]];

/** What a wire says of its envelopes. */
export interface EnvelopeForm {
  readonly signature: MemberPath;
  /** An ISO 8601 instant with an offset. */
  readonly timestamp: MemberPath;
  /** Top-level members that may each be `{"jwe": …}`. */
  readonly confidential: readonly string[];
}

/** The member, or undefined where there is none; what an object inherits is none. */
export function memberAt(envelope: JsonObject, path: MemberPath): Json | undefined {
  let value: Json | undefined = envelope;
  for (const name of path)
    value = isJsonObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
  return value;
}

/** A copy that lacks the member and no other. */
export function withoutMember(envelope: JsonObject, path: MemberPath): JsonObject {
  const [name, ...below] = path;
  if (!Object.hasOwn(envelope, name)) return envelope;
  const { [name]: member, ...rest } = envelope;
  if (!isPath(below)) return rest;
  return isJsonObject(member) ? { ...envelope, [name]: withoutMember(member, below) } : envelope;
}

/** A copy that has the member, and the objects that lead to it. */
export function withMember(envelope: JsonObject, path: MemberPath, value: Json): JsonObject {
  const [name, ...below] = path;
  if (!isPath(below)) return { ...envelope, [name]: value };
  const member = memberAt(envelope, [name]);
  return { ...envelope, [name]: withMember(isJsonObject(member) ? member : {}, below, value) };
}

function isPath(names: readonly string[]): names is MemberPath {
  return names.length > 0;
}
