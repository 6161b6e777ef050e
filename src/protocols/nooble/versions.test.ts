// What was once published stays: schemas against a pinned copy, messages recorded of each version, and the word that an old one ends.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { DEFAULT_TENANT, type TenantId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import { type Log, silentLog } from '../../runtime/log.ts';
import { strictOf } from './envelope.ts';
import examples from './examples.json' with { type: 'json' };
import { OldVersions } from './old-versions.ts';
import { payloadFaults, TYPES } from './schemas.ts';

/** What each field of each pair is: its type or its values, with `!` where it must be there. */
type Shape = Readonly<Record<string, string>>;
const PINNED = new URL('schemas-1.1.json', import.meta.url);

function shapeOf(schema: JsonObject, path = ''): Shape {
  const { properties, required = [], items } = schema;
  const below = isJsonObject(properties) ? Object.entries(properties) : [];
  const fields = below.flatMap(([name, value]) => {
    if (!isJsonObject(value)) return [];
    const isRequired = Array.isArray(required) && required.includes(name);
    const what = Array.isArray(value.enum) ? value.enum.join('|') : String(value.type ?? 'any');
    return [
      [`${path}${name}`, `${what}${isRequired ? '!' : ''}`],
      ...Object.entries(shapeOf(value, `${path}${name}.`)),
    ];
  });
  return { ...Object.fromEntries(fields), ...(isJsonObject(items) ? shapeOf(items, `${path}[].`) : {}) };
}

/** What of the pinned shape does not hold any more, and what is asked that was not. */
function broken(pinned: Shape, now: Shape): readonly string[] {
  const bare = (text: string | undefined) => text?.replace('!', '').split('|') ?? [];
  return [
    ...Object.entries(pinned)
      .filter(([field, what]) => bare(what).some(one => !bare(now[field]).includes(one)))
      .map(([field]) => `${field} changed`),
    ...Object.entries(now)
      .filter(([field, what]) => what.endsWith('!') && pinned[field]?.endsWith('!') !== true)
      .map(([field]) => `${field} is required now`),
  ];
}

const shapes = Object.fromEntries(
  Object.entries(TYPES).map(([pair, schema]) => [pair, shapeOf(schema as unknown as JsonObject)]),
);

test('NOOB-159 no field of a published schema is gone, of another type or newly required', () => {
  const pinned: Readonly<Record<string, Shape>> = JSON.parse(readFileSync(PINNED, 'utf8'));
  const { envelope = {}, ...payloads } = pinned;
  assert.ok(Object.keys(payloads).length > 20);
  for (const [pair, shape] of Object.entries(payloads))
    assert.deepEqual(broken({ ...envelope, ...shape }, shapes[pair] ?? {}), [], pair);
});

test('NOOB-159 the comparison sees what is gone, changed, narrowed or asked for anew, and lets new fields be', () => {
  const before = { a: 'string!', b: 'integer', c: 'x|y' };
  assert.deepEqual(broken(before, { ...before, d: 'string', 'd.e': 'array', c: 'x|y|z' }), []);
  assert.deepEqual(broken(before, { a: 'string', b: 'string', c: 'x', d: 'string!' }), [
    ...['b changed', 'c changed', 'd is required now'],
  ]);
  assert.deepEqual(broken(before, { b: 'integer!', c: 'x|y' }), ['a changed', 'b is required now']);
});

test('NOOB-159 messages recorded of 1.1 and 1.0 are still taken', () => {
  const recorded = Object.values(examples as unknown as Readonly<Record<string, JsonObject>>);
  assert.ok(recorded.length > 5);
  for (const one of recorded) assert.ok(strictOf(one).message_id !== '');
  const old = {
    ...{ message_id: 'old-1', tenant_id: 'default', created_at: '2025-01-01T00:00:00Z', version: '1.0' },
    ...{ status: 'pending', type: 'agent.execute', priority: 3, payload: { query: 'q' } },
    ...{ source_service: 'agent-orchestrator', target_service: 'agent-execution' },
  };
  const { type, task_id: task, payload } = strictOf(old);
  assert.deepEqual([type, task], [{ domain: 'agent', action: 'execute' }, 'old-1']);
  assert.deepEqual(payloadFaults('agent.execute', payload), []);
});

test('NOOB-160 an old version is warned of once a sender and day', () => {
  const told: object[] = [];
  const log: Log = { ...silentLog, warn: (_, fields = {}) => void told.push(fields) };
  const versions = new OldVersions(log);
  const noon = Date.UTC(2026, 0, 1, 12);
  for (const at of [noon, noon + 60_000, noon + 11 * 3_600_000])
    versions.note(DEFAULT_TENANT, 'a', '1.0', at);
  assert.equal(told.length, 1);
  versions.note(DEFAULT_TENANT, 'b', '1.0', noon);
  versions.note('other' as TenantId, 'a', '1.0', noon);
  assert.equal(told.length, 3);
  versions.note(DEFAULT_TENANT, 'a', '1.0', noon + 12 * 3_600_000);
  assert.equal(told.length, 4);
  assert.deepEqual(told.at(-1), { tenant: DEFAULT_TENANT, sender: 'a', version: '1.0', successor: '1.1' });
});
