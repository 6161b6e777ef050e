// What was published stays true: the schemas of the last release against those of this tree.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { MESSAGES } from './schemas.ts';
import { VERSION } from './words.ts';

/** The last release: it is replaced by the schemas of this tree when a version is published, and only then. */
const published: Release = JSON.parse(readFileSync(new URL('published.json', import.meta.url), 'utf8'));
const present: Release = { version: VERSION, types: JSON.parse(JSON.stringify(MESSAGES)) };

interface Release {
  readonly version: string;
  readonly types: JsonObject;
}

/** Which of the three numbers of a version must go up for what changed; none where nothing did. */
function neededStep(before: Release, now: Release): 'major' | 'minor' | 'patch' | null {
  const faults = Object.entries(before.types).flatMap(([type, schema]) =>
    breaks(schema, now.types[type], type),
  );
  if (faults.length > 0) return 'major';
  if (Object.keys(now.types).some(type => before.types[type] === undefined)) return 'minor';
  return JSON.stringify(before.types) === JSON.stringify(now.types) ? null : 'patch';
}

/** What somebody who wrote by the old schema could no longer rely on; an optional member or a choice more is no break. */
function breaks(before: Json | undefined, now: Json | undefined, path: string): readonly string[] {
  if (Array.isArray(before) && Array.isArray(now)) {
    const isList = path.endsWith('.required');
    const isChoice = path.endsWith('.enum');
    const gone = before.filter(one => !now.some(other => same(one, other)));
    const come = now.filter(one => !before.some(other => same(one, other)));
    const isBroken = isList
      ? come.length + gone.length > 0
      : isChoice
        ? gone.length > 0
        : gone.length + come.length > 0;
    return isBroken ? [path] : [];
  }
  if (!isJsonObject(before) || !isJsonObject(now)) return same(before, now) ? [] : [path];
  const isMembers = path.endsWith('.properties');
  const names = isMembers ? Object.keys(before) : [...new Set([...Object.keys(before), ...Object.keys(now)])];
  return names
    .filter(name => name !== 'description')
    .flatMap(name => breaks(before[name], now[name], `${path}.${name}`));
}

function same(one: Json | undefined, other: Json | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** Whether a version is at least one such step after another. */
function isStep(before: string, now: string, step: 'major' | 'minor' | 'patch' | null): boolean {
  const [was, is] = [before, now].map(text => text.split('.').map(Number));
  const at = step === 'major' ? 0 : step === 'minor' ? 1 : 2;
  if (step === null) return true;
  const first = [0, 1, 2].find(place => was?.[place] !== is?.[place]);
  return first !== undefined && first <= at && (is?.[first] ?? 0) > (was?.[first] ?? 0);
}

test('ARMY-130 the schemas are those of the last release, or the version is as much higher as what changed demands', () => {
  const step = neededStep(published, present);
  assert.ok(
    isStep(published.version, present.version, step),
    `${published.version} → ${present.version} needs a new ${step} version`,
  );
});

test('ARMY-130 a member more that is required, or another type, needs a major; a message type more a minor; an optional member more a patch', () => {
  const change = (edit: (types: Record<string, Changeable>) => void): ReturnType<typeof neededStep> => {
    const types = structuredClone(published.types) as unknown as Record<string, Changeable>;
    edit(types);
    return neededStep(published, { version: published.version, types: types as unknown as JsonObject });
  };
  const edit = (with_: (schema: Changeable) => void) =>
    change(types => {
      assert.ok(types.shutdown !== undefined);
      with_(types.shutdown);
    });
  assert.equal(
    change(() => {}),
    null,
  );
  assert.equal(
    edit(({ required }) => required.push('signature')),
    'major',
  );
  assert.equal(
    edit(({ required }) => required.pop()),
    'major',
  );
  assert.equal(
    edit(({ properties }) => Object.assign(properties, { id: { type: 'number' } })),
    'major',
  );
  assert.equal(
    edit(({ properties }) => Reflect.deleteProperty(properties, 'reply_to')),
    'major',
  );
  assert.equal(
    change(types => Reflect.deleteProperty(types, 'shutdown')),
    'major',
  );
  assert.equal(
    change(types => Object.assign(types, { farewell: types.shutdown })),
    'minor',
  );
  assert.equal(
    edit(({ properties }) => Object.assign(properties, { mood: { type: 'string' } })),
    'patch',
  );
  for (const [before, now, step, holds] of [
    ['1.0.0', '1.0.0', 'patch', false],
    ['1.0.0', '1.0.1', 'patch', true],
    ['1.0.0', '1.0.1', 'minor', false],
    ['1.0.3', '1.1.0', 'minor', true],
    ['1.9.9', '1.10.0', 'major', false],
    ['1.9.9', '2.0.0', 'major', true],
  ] as const)
    assert.equal(isStep(before, now, step), holds, `${before} ${now} ${step}`);
});

interface Changeable {
  readonly required: string[];
  readonly properties: object;
}
