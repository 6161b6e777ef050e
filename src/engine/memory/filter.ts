// Which records a search is about.

import type { Json, JsonObject } from '../../domain/json.ts';
import type { FeedRecord } from '../../store/memory.ts';

/** A record as an index keeps it: without its value and text. */
export type RecordHead = Omit<FeedRecord, 'chunks'>;

/** Conditions on records, all of which must hold. */
export interface RecordFilter {
  readonly collections?: readonly string[];
  /** All of them must be there (`ARMY-38`). */
  readonly tags?: readonly string[];
  /** The present version was stored within these instants, themselves included (`ARMY-38`). */
  readonly stored?: { readonly from?: number; readonly to?: number };
  /** Equal in each of these fields; where a list is kept, one of it is enough (`NOOB-77`). */
  readonly metadata?: JsonObject;
  /** One of these in each of these fields. */
  readonly metadataAnyOf?: Readonly<Record<string, readonly Json[]>>;
  /** Changed after, before these instants: by their own `updated_at`, else by when they were stored (`NOOB-77`). */
  readonly changed?: { readonly after?: number; readonly before?: number };
  readonly owner?: string;
  readonly userId?: string;
}

/** Whether a record meets a filter at an instant; one that has expired meets none. */
export function matcher(filter: RecordFilter, now: number): (record: RecordHead) => boolean {
  const { collections, tags = [], stored = {}, changed = {}, owner, userId } = filter;
  const fields: readonly (readonly [string, ReadonlySet<string>])[] = [
    ...Object.entries(filter.metadata ?? {}).map(([field, value]) => [field, textsOf([value])] as const),
    ...Object.entries(filter.metadataAnyOf ?? {}).map(([field, values]) => [field, textsOf(values)] as const),
  ];
  const checksChange = changed.after !== undefined || changed.before !== undefined;
  return record => {
    if (record.expiresAt !== null && record.expiresAt <= now) return false;
    if (collections !== undefined && !collections.includes(record.collection)) return false;
    if (!tags.every(tag => record.tags.includes(tag))) return false;
    if (!within(record.updatedAt, stored.from, stored.to)) return false;
    if (owner !== undefined && record.owner !== owner) return false;
    if (userId !== undefined && record.userId !== userId) return false;
    if (checksChange && !strictlyWithin(changedAt(record), changed.after, changed.before)) return false;
    return fields.every(([field, texts]) => valuesOf(record, field).some(value => texts.has(value)));
  };
}

/** What was asked before of records that are still there: a search asks the same of all of them. */
const known = new WeakMap<RecordHead, Map<string, readonly string[]>>();

/** What a record has in a field of its metadata, each value as JSON; a list counts as each of its values. */
export function valuesOf(record: RecordHead, field: string): readonly string[] {
  if (!Object.hasOwn(record.metadata, field)) return [];
  const fields = known.get(record) ?? new Map<string, readonly string[]>();
  const before = fields.get(field);
  if (before !== undefined) return before;
  const value = record.metadata[field];
  const values = [...textsOf(Array.isArray(value) ? [value, ...value] : [value])];
  known.set(record, fields.set(field, values));
  return values;
}

/** When a record changed: what it says of itself counts before when it was stored. */
function changedAt({ metadata, updatedAt }: RecordHead): number {
  const said = metadata.updated_at;
  const instant = typeof said === 'string' ? Date.parse(said) : Number.NaN;
  return Number.isNaN(instant) ? updatedAt : instant;
}

function within(instant: number, from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY): boolean {
  return instant >= from && instant <= to;
}

function strictlyWithin(
  instant: number,
  after = Number.NEGATIVE_INFINITY,
  before = Number.POSITIVE_INFINITY,
): boolean {
  return instant > after && instant < before;
}

function textsOf(values: readonly (Json | undefined)[]): ReadonlySet<string> {
  return new Set(values.map(value => JSON.stringify(value ?? null)));
}
