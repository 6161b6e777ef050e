// How indexes come and go: within their bounds, never behind, and the same however they were made.

import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { openMemory, remember, search } from '../../../test/memory.ts';
import type { TenantId } from '../../domain/ids.ts';
import { Best } from './best.ts';
import { LocalEmbedder } from './local-embedder.ts';
import { MEMORY_DEFAULTS } from './memory.ts';
import { WordIndex } from './postings.ts';
import { decodeVector, encodeVector, quantized, Vectors } from './vectors.ts';

test('indexes together stay within their bytes: the one not used for longest goes, and answers again when asked', async t => {
  const options = { ...MEMORY_DEFAULTS, searchBytesMax: 2_000_000 };
  const { memory } = await openMemory(t, { options });
  const tenants = Array.from({ length: 12 }, (_, number) => `tenant-${number}` as TenantId);
  for (const tenant of tenants) {
    await remember(memory, 'note', { tenant });
    await search(memory, 'note', { tenant });
  }
  const { bytes, tenants: kept } = memory.measure();
  assert.ok(
    bytes <= options.searchBytesMax && kept > 1 && kept < tenants.length,
    `${kept} of ${bytes} bytes`,
  );
  for (const tenant of tenants) assert.equal((await search(memory, 'note', { tenant })).total, 1);
});

test('whoever searches while others write and search finds all that was answered before', async t => {
  const { memory } = await openMemory(t);
  await Promise.all(
    Array.from({ length: 30 }, async (_, number) => {
      await remember(memory, `note ${number}`);
      const { hits } = await search(memory, `note ${number}`, { type: 'key' });
      assert.equal(hits.length, 1);
    }),
  );
});

test('an index of which most is gone is made anew', async t => {
  const { memory } = await openMemory(t);
  await remember(memory, 'stays');
  await search(memory, 'stays');
  const { bytes } = memory.measure();
  for (let round = 0; round < 2_600; round++) {
    await remember(memory, 'changes', { value: round });
    if (round % 10 === 0) await search(memory, 'changes');
  }
  const { total } = await search(memory, 'changes');
  assert.deepEqual([total, memory.measure().records], [1, 2]);
  assert.ok(memory.measure().bytes < bytes * 8, `${memory.measure().bytes} bytes for two records`);
});

test('words of entries that are gone count for nothing: scores are those of an index that never had them', () => {
  const entry = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(fc.array(fc.tuple(entry, fc.boolean()), { maxLength: 20 }), entry, (entries, query) => {
      const worn = new WordIndex();
      const fresh = new WordIndex();
      for (const [stems] of entries) worn.add(stems);
      for (const [at, [stems, stays]] of entries.entries()) {
        if (stays) fresh.add(stems);
        else worn.drop(at);
      }
      const before = worn.scores(query, at => entries[at]?.[1] === true);
      const living = [...before].filter((_, at) => entries[at]?.[1] === true);
      assert.deepEqual(living, [...fresh.scores(query, () => true)]);
    }),
  );
});

test('cosines are those of the vectors as they were, up to what eight bits lose, in whole blocks and in part', () => {
  const dimensions = 12;
  const numbers = fc.array(fc.integer({ min: -100, max: 100 }), {
    minLength: dimensions,
    maxLength: dimensions,
  });
  fc.assert(
    fc.property(fc.array(numbers, { minLength: 1, maxLength: 4 }), numbers, (given, query) => {
      const vectors = new Vectors(dimensions);
      const many = Array.from({ length: 600 }, (_, at) => Float32Array.from(given[at % given.length] ?? []));
      for (const vector of many) vectors.add(decodeVector(encodeVector(vector), dimensions));
      const cosines = vectors.cosines(quantized(Float32Array.from(query)));
      for (const [at, vector] of many.entries())
        assert.ok(Math.abs((cosines[at] ?? 9) - cosine([...vector], query)) < 0.02);
    }),
    { numRuns: 20 },
  );
});

test('the best are those that sorting would put first', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer()), fc.nat(12), (items, limit) => {
      const best = new Best<number>(limit, (one, another) => one > another);
      for (const item of items) best.offer(item);
      assert.deepEqual(best.list, items.toSorted((one, another) => another - one).slice(0, limit));
    }),
  );
});

test('ARMY-41 the local embedder gives a text the same vector on every machine, and unrelated texts nearly square ones', async () => {
  const [one = new Float32Array(), same, other = new Float32Array(), empty] = await new LocalEmbedder().embed(
    [
      'La tasa de conversión de las ventas',
      'la TASA de conversion de las ventas',
      'Tomatoes need full sun and deep watering',
      '',
    ],
  );
  assert.deepEqual(same, one);
  // Written down once: whoever changes this changes what is kept in stores, and must give the embedder another name.
  assert.equal(
    hash('sha256', encodeVector(one)),
    'd626870a38dccca08d639e82e3311ac335e9b37686640bbf58dcd784c3e933cc',
  );
  assert.ok(Math.abs(cosine([...one], [...other])) < 0.2);
  assert.ok(empty?.every(value => value === 0));
});

function cosine(one: readonly number[], another: readonly number[]): number {
  const dot = (a: readonly number[], b: readonly number[]): number =>
    a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
  const lengths = Math.sqrt(dot(one, one) * dot(another, another));
  return lengths === 0 ? 0 : dot(one, another) / lengths;
}
