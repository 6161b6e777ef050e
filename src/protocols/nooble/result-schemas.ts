// What results of steps must be (`NOOB-57`): a format, and a schema that may refer to schemas its tenant has stored. Nothing is ever fetched.

import type { TenantId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { PayloadCheck } from '../../engine/ports/schemas.ts';
import type { Store } from '../../store/store.ts';

/** What `expected_output` comes to: one schema of the result, null where anything will do, and what it refers to that there is not. */
export interface Expectation {
  readonly schema: JsonObject | null;
  readonly unknown: readonly string[];
}

const KIND = 'nooble_schema';
const SCHEMAS_MAX = 100;
/** Members whose values are data, in which `$ref` means nothing. */
const DATA: readonly string[] = ['const', 'enum', 'default', 'examples'];
const TEXT: JsonObject = {
  anyOf: [
    { type: 'string' },
    ...['response', 'report', 'result', 'text'].map(name => ({
      type: 'object',
      properties: { [name]: { type: 'string' } },
      required: [name],
    })),
  ],
};

/** The formats a result may have: of a text, the answer of an agent or the report of a tool is one. */
export const FORMATS: Readonly<Record<string, JsonObject>> = {
  json: { type: ['object', 'array'] },
  text: TEXT,
  markdown: TEXT,
  html: TEXT,
};

/** The schemas of all tenants. */
export class ResultSchemas {
  readonly #store: Pick<Store, 'documents' | 'putDocuments'>;
  readonly #check: PayloadCheck;

  constructor(store: Pick<Store, 'documents' | 'putDocuments'>, check: PayloadCheck) {
    this.#store = store;
    this.#check = check;
  }

  /** Stores a schema, or replaces it; throws `invalid_request` for what is none. */
  async put(tenant: TenantId, name: string, schema: JsonObject): Promise<void> {
    // Alone, for what it refers to may come later.
    await this.#check.admit(whole(schema, new Map()), 'schema');
    await this.#store.putDocuments([{ tenant, kind: KIND, id: name, body: { schema } }]);
  }

  /** Whether there was such a schema, which is gone now; what is checked by it already goes on so. */
  async remove(tenant: TenantId, name: string): Promise<boolean> {
    const [known] = await this.#store.documents({ tenant, kind: KIND, ids: [name] });
    if (known === undefined) return false;
    const [outcome] = await this.#store.putDocuments([
      { tenant, kind: KIND, id: name, body: null, expected: known.version },
    ]);
    return outcome?.status === 'done' ? true : this.remove(tenant, name);
  }

  /** A tenant's schemas by name. */
  async list(tenant: TenantId): Promise<JsonObject> {
    const stored = await this.#store.documents({ tenant, kind: KIND });
    return Object.fromEntries(stored.map(({ id, body }) => [id, body.schema ?? null]));
  }

  /** What a result must be; throws `invalid_request` where that is no schema. */
  async expected(tenant: TenantId, output: Json | undefined): Promise<Expectation> {
    if (!isJsonObject(output)) return { schema: null, unknown: [] };
    const format = typeof output.format === 'string' ? FORMATS[output.format] : undefined;
    if (!isJsonObject(output.schema))
      return { schema: format === undefined ? null : whole({}, new Map(), format), unknown: [] };
    const found = await this.#reached(tenant, output.schema);
    const unknown = [...found].flatMap(([name, schema]) => (schema === null ? [name] : []));
    const schema = whole(output.schema, found, format);
    await this.#check.admit(schema, 'expected_output.schema');
    return { schema, unknown };
  }

  /** All schemas that one refers to, directly or not; null where there is none of that name. */
  async #reached(tenant: TenantId, from: JsonObject): Promise<ReadonlyMap<string, JsonObject | null>> {
    const found = new Map<string, JsonObject | null>();
    let open = namesIn(from);
    while (open.length > 0 && found.size < SCHEMAS_MAX) {
      const stored = await this.#store.documents({ tenant, kind: KIND, ids: open });
      const schemas = new Map(stored.map(({ id, body }) => [id, body.schema]));
      for (const name of open) {
        const schema = schemas.get(name);
        found.set(name, isJsonObject(schema) ? schema : null);
      }
      const next = [...schemas.values()].flatMap(schema => namesIn(schema ?? null));
      open = [...new Set(next)].filter(name => !found.has(name));
    }
    for (const name of open) found.set(name, null);
    return found;
  }
}

/** The schema of an answer that bears such a result as `result`. */
export function resultIs({ allOf = [], $defs = {} }: JsonObject): JsonObject {
  return { type: 'object', properties: { result: { allOf } }, required: ['result'], $defs };
}

/** One schema of all: what is referred to stands in it, under numbers. A reference to what there is not allows anything. */
function whole(
  schema: JsonObject,
  found: ReadonlyMap<string, JsonObject | null>,
  format?: JsonObject,
): JsonObject {
  const known = [...found].flatMap(([name, one]) => (one === null ? [] : [[name, one] as const]));
  const places = new Map(known.map(([name], at) => [name, `#/$defs/s${at}`]));
  const $defs: Record<string, Json> = { result: moved(schema, '#/$defs/result', places) };
  for (const [at, [, one]] of known.entries()) $defs[`s${at}`] = moved(one, `#/$defs/s${at}`, places);
  return { allOf: [...(format === undefined ? [] : [format]), { $ref: '#/$defs/result' }], $defs };
}

/** A schema with its references as they are from where it is put. */
function moved(value: Json, place: string, places: ReadonlyMap<string, string>): Json {
  if (Array.isArray(value)) return value.map((one: Json) => moved(one, place, places));
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([member, one = null]): readonly (readonly [string, Json])[] => {
      if (DATA.includes(member)) return [[member, one]];
      if (typeof one !== 'string') return [[member, moved(one, place, places)]];
      // It is another schema now, by no name of its own.
      if (member === '$id' || member === '$schema') return [];
      if (member !== '$ref') return [[member, one]];
      const [name = '', pointer = ''] = one.split('#', 2);
      const to = name === '' ? place : places.get(name);
      return to === undefined ? [] : [[member, `${to}${pointer}`]];
    }),
  );
}

/** The names of the schemas it refers to beside itself. */
function namesIn(value: Json): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((one: Json) => namesIn(one));
  if (!isJsonObject(value)) return [];
  const names = Object.entries(value).flatMap(([member, one = null]) => {
    if (DATA.includes(member)) return [];
    if (member !== '$ref' || typeof one !== 'string') return namesIn(one);
    const [name = ''] = one.split('#', 1);
    return name === '' ? [] : [name];
  });
  return [...new Set(names)];
}
