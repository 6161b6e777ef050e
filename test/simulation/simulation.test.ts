import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TaskKey } from '../../src/domain/ids.ts';
import type { Store } from '../../src/store/store.ts';
import { processesOf, World } from './world.ts';

const SEEDS = 12;
/** Among how many worlds one is found in which a lost lease does harm. */
const SABOTAGED = 60;
const STEPS = 40;

test(`the invariants hold in ${SEEDS} worlds of one to three processes, of crashes, freezes, lost answers, lost hints and dying workers`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++)
    await new World(seed, { processes: processesOf(seed) }).live(STEPS);
});

test('a world replays: the same seed lives the same life', async () => {
  for (const processes of [1, 3]) {
    const lives = await Promise.all([7, 7].map(seed => new World(seed, { processes }).live(STEPS)));
    assert.deepEqual(lives[0], lives[1], `${processes} processes`);
  }
});

test('a store that forgets an acknowledged task is found out, and the failure names its seed', async () => {
  await assert.rejects(
    new World(3, { sabotage: forgetful }).live(STEPS),
    /acknowledged task .* is lost \(seed 3; replay with/,
  );
});

test('a store that confirms an end it did not write is found out', async () => {
  await assert.rejects(
    new World(3, { sabotage: boastful }).live(STEPS),
    /a confirmed result of .* was not applied \(seed 3/,
  );
});

test('a store that lets a lost lease settle a task is found out where processes stop and go on', async () => {
  const lives = async (): Promise<void> => {
    for (let seed = 1; seed <= SABOTAGED; seed++)
      await new World(seed, { sabotage: unfenced, processes: 3 }).live(STEPS);
  };
  await assert.rejects(lives(), /came from a lease that was lost/);
});

function unfenced(store: Store): Store {
  return spoil(store, {
    commit: async changes => {
      const leases = await store.leases({});
      const led = new Map(leases.map(({ key, token }) => [key, token]));
      return store.commit(
        changes.map(change => {
          const token = change.guard.by === 'lease' ? led.get(change.key) : undefined;
          return token === undefined ? change : { ...change, guard: { by: 'lease', token } };
        }),
      );
    },
  });
}

function forgetful(store: Store): Store {
  return spoil(store, {
    submit: async tasks => tasks.map(() => ({ status: 'created', key: -1 as TaskKey, at: 0 })),
  });
}

function boastful(store: Store): Store {
  return spoil(store, {
    commit: async changes =>
      changes.some(change => change.outcome === 'completed')
        ? changes.map(() => ({ status: 'done', version: 1, at: 0, dependentsWoken: 0 }))
        : store.commit(changes),
  });
}

function spoil(store: Store, verbs: Partial<Store>): Store {
  return new Proxy(store, {
    get(target, name) {
      const member = Reflect.get(verbs, name) ?? Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}
