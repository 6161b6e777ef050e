// The server that is to be confused, what a right request to each of its routes looks like, and what it has stored.

import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Ajv, type ValidateFunction } from 'ajv';
import type { Operation, Schema } from '../e2e/contract.ts';
import { hire, taskOf } from '../e2e/crew.ts';
import { type Running, running } from '../e2e/running.ts';
import type { Wire } from '../e2e/wire.ts';
import { sampleOf } from './hostile.ts';

/** A server and the eyes on it. */
export interface Scene {
  readonly house: Running;
  readonly admin: Wire;
  /** Rows by table, without those the server writes about every request. */
  stored(): Readonly<Record<string, number>>;
  stop(): Promise<void>;
}

/** Documents that count requests rather than hold what was asked. */
const BOOKKEEPING = "'api_key_usage', 'rate_counts', 'hmac_replay', 'agent', 'statistics', 'audit_head'";
const TABLES = [
  ...['task', 'event', 'edge', 'timer', 'delivery', 'log', 'artifact', 'queue', 'ready', 'lease'],
  ...['mail', 'mail_copy', 'dead_letter'],
];

/** A server whose worker type `fuzz` takes tasks that nobody runs. */
export async function openScene(): Promise<Scene> {
  // A provider that is never reached: what is wrong must be found before anybody is asked.
  const house = await running({ BATUTA_MODEL_URL: 'http://127.0.0.1:1/v1', BATUTA_MODEL: 'writer' });
  await hire(house.admin, 'fuzz');
  const database = new DatabaseSync(join(house.dataDir, 'batuta.db'), { readOnly: true, timeout: 5_000 });
  const count = (from: string): number =>
    Number(database.prepare(`SELECT count(*) AS rows FROM ${from}`).get()?.rows);
  return {
    house,
    admin: house.admin,
    stored: () => ({
      ...Object.fromEntries(TABLES.map(table => [table, count(table)])),
      document: count(`document WHERE kind NOT IN (${BOOKKEEPING})`),
    }),
    async stop() {
      database.close();
      await house.stop();
    },
  };
}

/** The schema of the operation's JSON body, if it takes one. */
export function bodySchema({ spec }: Operation): Schema | undefined {
  return spec.requestBody?.content['application/json']?.schema;
}

let made = 0;

/** A body the operation would act on, with ids of its own each time. */
export function rightBody(operation: Operation): unknown {
  const id = `fuzz-${++made}`;
  switch (operation.path) {
    case '/api/v2/execute-task':
      return taskOf(id, 'fuzz');
    case '/api/v2/execute-task/batch':
      return { tasks: [taskOf(id, 'fuzz')] };
    case '/api/v2/tenants':
    case '/api/v2/agents':
    case '/api/v2/secrets':
      return { ...(sampleOf(bodySchema(operation)) as object), tenant_id: id, agent_id: id, name: id };
    default:
      return sampleOf(bodySchema(operation));
  }
}

/** The operation's path with a sample in the place of each parameter. */
export function rightPath({ path, spec }: Operation): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const { schema } = spec.parameters.find((one: Schema) => one.in === 'path' && one.name === name);
    return encodeURIComponent(String(sampleOf(schema)));
  });
}

/** Samples of the query parameters that the operation cannot do without, but for one. */
export function rightQuery({ spec }: Operation, without: string): string {
  const needed = spec.parameters.filter(
    (one: Schema) => one.in === 'query' && one.required && one.name !== without,
  );
  return needed
    .map(({ name, schema }: Schema) => `&${name}=${encodeURIComponent(String(sampleOf(schema)))}`)
    .join('');
}

const ajv = new Ajv({
  strict: false,
  allErrors: true,
  formats: {
    uri: text => URL.canParse(text),
    'date-time': text => /^\d{4}-\d\d-\d\d[T ]/.test(text) && !Number.isNaN(Date.parse(text)),
  },
});
const compiled = new Map<Schema, ValidateFunction>();

/** Whether the document itself finds the body right. */
export function isRight(schema: Schema, body: unknown): boolean {
  const check = compiled.get(schema) ?? ajv.compile(schema);
  compiled.set(schema, check);
  return check(JSON.parse(JSON.stringify(body))) === true;
}

/** Does the work for each item, eight at a time. */
export async function forAll<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  const lanes = Array.from({ length: 8 }, async () => {
    for (const item of queue) await work(item);
  });
  await Promise.all(lanes);
}
