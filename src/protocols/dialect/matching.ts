// Which messages a subscriber wants: by type, with `*` for anything, and by what stands in them.

import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { type Message, needsTls } from '../../domain/message.ts';
import type { Subscription } from '../../domain/subscription.ts';
import { type Expression, holds, ParseBudget, parseExpression } from '../../engine/expressions.ts';

/** The patterns of a comma-separated list; none for everything. */
export function patternsIn(list: string | undefined): readonly string[] {
  return (list ?? '')
    .split(',')
    .map(one => one.trim())
    .filter(one => one !== '');
}

/** Whether a type is one of the patterns, in which `*` stands for any run of characters; no pattern takes all. */
export function matchesType(type: string, patterns: readonly string[]): boolean {
  return patterns.length === 0 || patterns.some(pattern => matches(type, pattern.split('*')));
}

/** Whether what stands at each path (`metadata.userId`) equals what is wanted there. */
export function matchesFilter(envelope: JsonObject, filter: JsonObject): boolean {
  return Object.entries(filter).every(([path, wanted]) => sameJson(at(envelope, path), wanted ?? null));
}

/** Plain search from left to right: no pattern can make it slow. */
function matches(type: string, parts: readonly string[]): boolean {
  const [first = '', ...rest] = parts;
  if (rest.length === 0) return type === first;
  if (!type.startsWith(first)) return false;
  const last = rest.pop() ?? '';
  let from = first.length;
  for (const part of rest) {
    const found = type.indexOf(part, from);
    if (found < 0) return false;
    from = found + part.length;
  }
  return type.length - last.length >= from && type.endsWith(last);
}

function at(value: Json | undefined, path: string): Json | undefined {
  let here = value;
  for (const step of path.split('.')) {
    if (!isJsonObject(here) || !Object.hasOwn(here, step)) return undefined;
    here = here[step];
  }
  return here;
}

function sameJson(one: Json | undefined, other: Json): boolean {
  return one !== undefined && JSON.stringify(one) === JSON.stringify(other);
}

/** Whether a subscriber wants a message, once it is put into the wire's words; what is sensitive is told to its receivers alone (`NOOB-33`). */
export function isWanted(
  message: Message,
  subscription: Subscription,
  encode: (message: Message) => JsonObject,
): boolean {
  const { types, filter, watchesAll, owner } = subscription;
  if (message.isSensitive === true || !matchesType(message.type, types)) return false;
  if (!isSafeFor(message, subscription)) return false;
  const isPublic = message.meaning.act === 'notify' && message.to.length === 0;
  if (!isPublic && !watchesAll && !concerns(message, owner)) return false;
  if (filter === null) return true;
  const envelope = encode(message);
  return typeof filter === 'string' ? holdsFor(filter, envelope) : matchesFilter(envelope, filter);
}

/** What wants TLS goes to no webhook in clear (`ARMY-8`). */
function isSafeFor(message: Message, { target }: Subscription): boolean {
  if (target.by !== 'webhook' || !needsTls(message)) return true;
  return [target.url, ...(target.backups ?? [])].every(url => url.startsWith('https:'));
}

/** Throws `invalid_request` for an expression that does not parse or is not permitted. */
export function checkFilter(filter: JsonObject | string | null): void {
  if (typeof filter === 'string') conditionOf(filter);
}

const CONDITIONS_KEPT = 1_000;
const conditions = new Map<string, Expression>();

function conditionOf(text: string): Expression {
  const known = conditions.get(text);
  if (known !== undefined) return known;
  let parsed: Expression;
  try {
    parsed = parseExpression(text, new ParseBudget());
  } catch (error) {
    throw new DomainError('invalid_request', `the filter is no condition: ${String(error)}`, {
      details: { errors: [{ field: 'filter', message: 'is no condition' }] },
    });
  }
  if (conditions.size >= CONDITIONS_KEPT) conditions.clear();
  conditions.set(text, parsed);
  return parsed;
}

/** What cannot be judged does not hold. */
function holdsFor(text: string, envelope: JsonObject): boolean {
  try {
    return holds(conditionOf(text), envelope);
  } catch {
    return false;
  }
}

function concerns(message: Message, owner: string): boolean {
  return (
    message.agentId === owner ||
    message.actor === owner ||
    message.to.some(to => to === owner || to.endsWith(`:${owner}`))
  );
}
