// A thread in which agents of this server do the heaviest work one message can ask of them, so that a test can bound its memory. What it is
// told is the name of the work; it posts how that went.

import assert from 'node:assert/strict';
import { parentPort, workerData } from 'node:worker_threads';
import type { AgentId, TenantId } from '../../src/domain/ids.ts';
import type { Json, JsonObject } from '../../src/domain/json.ts';
import { Memory } from '../../src/engine/memory/memory.ts';
import { createValidator } from '../../src/participants/validator/validator.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { silentLog } from '../../src/runtime/log.ts';
import { seededRandom } from '../../src/runtime/random.ts';
import { openSqliteInProcess } from '../../src/store/sqlite/open.ts';

/** What a message may have, less its envelope. */
const BYTES = 1_048_576 - 1_024;

const random = seededRandom(1, () => 0);
const letters = (): string =>
  Math.floor(random.fraction() * 676 + 360)
    .toString(36)
    .slice(-2);

/** As much of what is made as a message holds. */
function filled(part: () => string): string {
  const parts: string[] = [];
  for (let bytes = 0, made = part(); bytes + made.length <= BYTES; bytes += made.length, made = part())
    parts.push(made);
  return parts.join('');
}

function items(part: string, depth = 0): Json {
  const flat: Json = JSON.parse(`[${filled(() => `${part},`).slice(0, -2 * depth - 1)}]`);
  return Array.from({ length: depth }).reduce<Json>(value => [value], flat);
}

const ORDERS: Readonly<Record<string, () => JsonObject>> = {
  'a text of short sentences': () => ({ content: filled(() => `${letters()}. `) }),
  'a text of different words': () => ({ content: filled(() => `${letters()} de `) }),
  'a list of texts, deep inside': () => ({
    content: items('"#"', 60),
    expected_output: { format: 'markdown' },
  }),
  'many fields': () => ({ content: items('{"a":"b"}'), expected_output: { sections: ['z'] } }),
  'two texts that are to differ': () => {
    const text = filled(() => `${letters()} `);
    const half = text.length / 2;
    return { content: text.slice(0, half), context: { duplicates_of: { other: text.slice(half) } } };
  },
};

async function validated(request: JsonObject): Promise<void> {
  // Schemas are applied in a thread that has a bound of its own.
  const schemas = { check: async () => assert.fail(), admit: async () => assert.fail() };
  const validator = createValidator({ clock: systemClock, schemas, models: [] });
  const order = validator.orderOf(request, { scoreMin: 0.7 });
  const { score } = await validator.validate(order, new AbortController().signal);
  assert.ok(score >= 0 && score <= 1);
}

async function remembered(value: Json): Promise<void> {
  const store = openSqliteInProcess({ path: ':memory:', clock: systemClock, random, auditKey: 'k' });
  const memory = new Memory({ log: silentLog, clock: systemClock, store: store.memory, leads: () => true });
  await memory.start();
  const tenant = 'acme' as TenantId;
  await memory.remember({ tenant, owner: 'scout' as AgentId, key: 'caballo', value });
  const { total } = await memory.search({ tenant, type: 'semantic', text: 'caballo' });
  assert.equal(total, 1);
  await memory.stop();
  await store.stop();
}

const WORK: Readonly<Record<string, () => Promise<unknown>>> = {
  ...Object.fromEntries(Object.entries(ORDERS).map(([name, order]) => [name, () => validated(order())])),
  'a record of text': () => remembered(filled(() => `${letters()} de `)),
  'a record of many fields': () => remembered(items('{"de":1}')),
  // What shows that the bound is one.
  'holding on to everything': async () => {
    const held: number[][] = [];
    while (held.length < 1_000) held.push(Array.from({ length: 100_000 }, (_, at) => at + 0.5));
  },
};

/** The names of the work. */
export const WORKS = Object.keys(WORK);

if (parentPort !== null) {
  await WORK[String(workerData.bounded)]?.();
  parentPort.postMessage('done');
}
