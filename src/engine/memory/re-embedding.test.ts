// Another embedder takes over: in the background, all of it, and not before all of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACME, GLOBEX, keysOf, learn, openMemory, remember, search } from '../../../test/memory.ts';
import { stemsOf } from '../../domain/text/words.ts';
import type { Embedder } from '../ports/embedder.ts';

/** Knows what words mean, as a model does: `coche`, `auto` and `car` are one thing to it. */
function modelEmbedder(meanings: readonly (readonly string[])[]) {
  const gate: { open: Promise<void>; failing: boolean; texts: number } = {
    open: Promise.resolve(),
    failing: false,
    texts: 0,
  };
  const embedder: Embedder = {
    name: 'model-1',
    dimensions: 8,
    nearCosine: 0.5,
    async embed(texts) {
      await gate.open;
      if (gate.failing) throw new Error('the provider is away');
      gate.texts += texts.length;
      return texts.map(text => {
        const stems = stemsOf(text);
        return Float32Array.from({ length: 8 }, (_, at) =>
          (meanings[at] ?? []).some(word => stems.includes(stemsOf(word)[0] ?? '')) ? 1 : 0,
        );
      });
    },
  };
  return { embedder, gate };
}

const MEANINGS = [
  ['coche', 'auto', 'car'],
  ['casa', 'hogar'],
];

async function waitFor(holds: () => Promise<boolean>, advance: () => Promise<void>): Promise<void> {
  for (let look = 0; look < 200; look++) {
    if (await holds()) return;
    await advance();
  }
  assert.fail('it never came');
}

test('ARMY-42 another embedder gives all tenants’ records vectors in the background; searches keep to the old ones until it is done', async t => {
  const { memory, again, store, clock } = await openMemory(t);
  for (let number = 0; number < 150; number++) await remember(memory, `filler ${number}`);
  await learn(memory, 'car', 'Un coche rojo.');
  await learn(memory, 'home', 'Una casa verde.', { tenant: GLOBEX });
  const { embedder, gate } = modelEmbedder(MEANINGS);
  const closed = Promise.withResolvers<void>();
  gate.open = closed.promise;
  t.after(() => closed.resolve());
  const next = await again({ embedder });
  await clock.advance(1_000);
  assert.equal(await store.memory.embedder(), 'local-1');
  const meanwhile = await search(next, 'auto');
  assert.deepEqual([keysOf(meanwhile), meanwhile.warnings], [[], []]);
  assert.deepEqual(keysOf(await search(next, 'koche rojo')), ['car']);
  closed.resolve();
  await waitFor(
    async () => (await store.memory.embedder()) === 'model-1',
    () => clock.advance(100),
  );
  assert.deepEqual(await store.memory.unembedded('model-1', null, 10), []);
  assert.deepEqual(keysOf(await search(next, 'auto')), ['car']);
  assert.deepEqual(keysOf(await search(next, 'hogar', { tenant: GLOBEX })), ['home']);
  await learn(next, 'second', 'Car for sale.');
  assert.deepEqual(keysOf(await search(next, 'coches usados')).toSorted(), ['car', 'second']);
  await waitFor(
    async () => (await store.memory.unembedded('local-1', null, 1_000)).length === 153,
    () => clock.advance(100),
  );
});

test('ARMY-42 a node that does not have the embedder in force searches by words, and says so', async t => {
  const { embedder } = modelEmbedder(MEANINGS);
  const { memory, again } = await openMemory(t, { embedder });
  await learn(memory, 'car', 'Un coche rojo.');
  assert.deepEqual(keysOf(await search(memory, 'auto')), ['car']);
  const old = await again({});
  const answer = await search(old, 'coche', { type: 'hybrid' });
  assert.deepEqual(keysOf(answer), ['car']);
  assert.match(answer.warnings.join(), /embedder in force is not set up/);
  assert.equal(ACME, answer.hits[0]?.record.tenant);
});

test('ARMY-42 while a provider is away records are kept and found by words; once it is back they get their vectors', async t => {
  const { embedder, gate } = modelEmbedder(MEANINGS);
  const { memory, store, clock } = await openMemory(t, { embedder });
  gate.failing = true;
  await learn(memory, 'car', 'Un coche rojo.');
  const answer = await search(memory, 'coche');
  assert.deepEqual(keysOf(answer), ['car']);
  assert.match(answer.warnings.join(), /embedder failed/);
  gate.failing = false;
  await waitFor(
    async () => (await store.memory.unembedded('model-1', null, 10)).length === 0,
    () => clock.advance(1_000),
  );
  assert.deepEqual(keysOf(await search(memory, 'auto')), ['car']);
});
