// Random lives against a model: whatever order verbs come in, whichever commits fail, the store does what a few maps would.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { FencingToken, TaskId, TaskKey } from '../../domain/ids.ts';
import { seededRandom } from '../../runtime/random.ts';
import { ACME, claimed, historyOf, idsOf, order, rejection } from '../conformance-setup.ts';
import type { TaskChange } from '../rows.ts';
import type { Store } from '../store.ts';
import { openSqliteInProcess } from './open.ts';

const IDS = ['a', 'b', 'c', 'd', 'e'] as const;

interface ModelTask {
  key: TaskKey;
  state: string;
  outcome: string | null;
  version: number;
  attempt: number;
  token: FencingToken | null;
  ready: boolean;
  rank: number;
  fingerprint: string;
}

type Intent = 'end' | 'requeue' | 'shelve' | 'progress' | 'note';
type Moment = 'before' | 'after';

/** What happens next; data, so that a counterexample can be read. */
type Step =
  | { readonly do: 'submit'; readonly id: string; readonly fingerprint: string; readonly rejected: boolean }
  | { readonly do: 'claim'; readonly limit: number }
  | { readonly do: 'change by lease'; readonly index: number; readonly intent: Intent }
  | {
      readonly do: 'change by version';
      readonly id: string;
      readonly behind: number;
      readonly intent: Intent;
    }
  | { readonly do: 'pass time'; readonly ms: number }
  | { readonly do: 'fail the next commit'; readonly moment: Moment };

const intent = fc.constantFrom<Intent>('end', 'requeue', 'shelve', 'progress', 'note');
const id = fc.constantFrom(...IDS);
const doing = <Name extends Step['do']>(name: Name) => fc.constant(name);

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: doing('submit'),
    id,
    fingerprint: fc.constantFrom('f', 'g'),
    rejected: fc.nat(3).map(one => one === 0),
  }),
  fc.record({ do: doing('claim'), limit: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ do: doing('change by lease'), index: fc.nat(20), intent }),
  fc.record({ do: doing('change by version'), id, behind: fc.nat(1), intent }),
  fc.record({ do: doing('pass time'), ms: fc.integer({ min: 1, max: 1_000 }) }),
  fc.record({ do: doing('fail the next commit'), moment: fc.constantFrom<Moment>('before', 'after') }),
);

/** A store and what it should know. */
class World {
  readonly store: Store;
  readonly tasks = new Map<string, ModelTask>();
  readonly tokens: { readonly id: string; readonly token: FencingToken }[] = [];
  #now = 1_700_000_000_000;
  #failing: Moment | null = null;

  constructor() {
    const now = (): number => this.#now;
    this.store = openSqliteInProcess({
      path: ':memory:',
      clock: { now, monotonic: now, after: () => () => {} },
      random: seededRandom(1, now),
      auditKey: 'k',
      faults: moment => {
        if (moment === this.#failing) throw new Error('the machine stopped');
      },
    });
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'submit':
        return this.#submit(step.id, step.fingerprint, step.rejected);
      case 'claim':
        return this.#claim(step.limit);
      case 'change by lease': {
        const held = this.tokens[step.index % Math.max(1, this.tokens.length)];
        if (held === undefined) return;
        return this.#change(held.id, { by: 'lease', token: held.token }, step.intent);
      }
      case 'change by version': {
        const version = (this.tasks.get(step.id)?.version ?? 0) - step.behind;
        return this.#change(step.id, { by: 'version', version }, step.intent);
      }
      case 'pass time':
        this.#now += step.ms;
        return;
      case 'fail the next commit':
        this.#failing = step.moment;
        return;
    }
  }

  async #submit(taskId: string, fingerprint: string, rejected: boolean): Promise<void> {
    const known = this.tasks.get(taskId);
    let expected = 'created';
    if (known !== undefined && known.outcome !== 'rejected') {
      expected = known.fingerprint === fingerprint ? 'same' : 'different';
    }
    const task = (rejected ? rejection : order)(taskId, { task: { fingerprint } });
    const happened = await this.#tookEffect(
      () => this.store.submit([task]),
      ([outcome]) => assert.equal(outcome?.status, expected),
    );
    if (!happened || expected !== 'created') return;
    const [made] = await this.store.read([{ tenant: ACME, id: task.id }]);
    this.tasks.set(taskId, {
      key: made?.key ?? assert.fail('an accepted task must be there'),
      state: task.state,
      outcome: rejected ? 'rejected' : null,
      version: task.events.length,
      attempt: 0,
      token: null,
      ready: !rejected,
      rank: this.#now,
      fingerprint,
    });
  }

  async #claim(limit: number): Promise<void> {
    const expected = [...this.tasks]
      .filter(([, task]) => task.ready)
      .sort(([, one], [, other]) => one.rank - other.rank || one.key - other.key)
      .slice(0, limit)
      .map(([taskId]) => taskId);
    const happened = await this.#tookEffect(
      () => claimed(this.store, { limit }),
      claims => assert.deepEqual(idsOf(claims), expected),
    );
    if (!happened) return;
    const leases = await this.store.leases({});
    for (const taskId of expected) {
      const task = this.tasks.get(taskId) ?? assert.fail();
      const lease = leases.find(one => one.taskId === taskId);
      task.token = lease?.token ?? assert.fail('a claimed task must be leased');
      task.state = 'running';
      task.ready = false;
      task.version += 2;
      task.attempt += 1;
      this.tokens.push({ id: taskId, token: task.token });
    }
  }

  async #change(taskId: string, guard: TaskChange['guard'], wanted: Intent): Promise<void> {
    const task = this.tasks.get(taskId);
    if (task === undefined) return;
    // An ended task may be noted, never moved: that would be a bug of the engine, refused by an assertion.
    const move = task.outcome === null ? wanted : 'note';
    const holds = guard.by === 'lease' ? guard.token === task.token : guard.version === task.version;
    const happened = await this.#tookEffect(
      () => this.store.commit([changeOf(task.key, guard, move)]),
      ([outcome]) => assert.equal(outcome?.status, holds ? 'done' : 'stale'),
    );
    if (!happened || !holds) return;
    task.version += 1;
    if (move === 'progress' || move === 'note') return;
    task.token = null;
    task.ready = move === 'requeue';
    task.state = STATE_AFTER[move];
    if (move === 'end') task.outcome = 'failed';
  }

  /** Runs a verb whose commit may fail: true where it took effect, whatever its caller learnt. */
  async #tookEffect<Answer>(run: () => Promise<Answer>, check: (answer: Answer) => void): Promise<boolean> {
    const failing = this.#failing;
    try {
      check(await run());
      return true;
    } catch (error) {
      if (failing === null) throw error;
      return failing === 'after';
    } finally {
      this.#failing = null;
    }
  }

  /** Fails where the store knows anything else than the model. */
  async check(): Promise<void> {
    const found = await this.store.read(IDS.map(one => ({ tenant: ACME, id: one as TaskId })));
    for (const [index, taskId] of IDS.entries()) {
      const task = found[index] ?? null;
      const expected = this.tasks.get(taskId) ?? null;
      assert.equal(task === null, expected === null, `whether there is a task ${taskId}`);
      if (task === null || expected === null) continue;
      assert.equal(task.state, expected.state);
      assert.equal(task.outcome, expected.outcome);
      assert.equal(task.version, expected.version);
      assert.equal(task.attempt, expected.attempt);
      assert.equal(task.lease?.token ?? null, expected.token);
      const sequences = (await historyOf(this.store, expected.key)).map(({ sequence }) => sequence);
      assert.deepEqual(
        sequences,
        Array.from({ length: expected.version }, (_, at) => at + 1),
      );
    }
    const all = [...this.tasks.values()];
    const ready = all.filter(task => task.ready).length;
    const leased = all.filter(task => task.token !== null).length;
    const measure = await this.store.measure();
    assert.deepEqual([measure.ready, measure.leased], [ready, leased]);
    const depths = (await this.store.queues()).reduce((sum, { depth }) => sum + depth, 0);
    assert.equal(depths, ready);
  }
}

const STATE_AFTER = { end: 'failed', requeue: 'queued', shelve: 'paused' } as const;

function changeOf(key: TaskKey, guard: TaskChange['guard'], move: Intent): TaskChange {
  const base: TaskChange = { key, guard, events: [{ kind: 'note', name: move, detail: {} }] };
  switch (move) {
    case 'end':
      return { ...base, state: 'failed', outcome: 'failed', placement: 'nowhere' };
    case 'requeue':
      return { ...base, state: 'queued', placement: 'ready' };
    case 'shelve':
      return { ...base, state: 'paused', placement: 'nowhere' };
    case 'progress':
      return { ...base, progress: { percentage: 50 }, checkpoint: { at: 1 } };
    case 'note':
      return base;
  }
}

test('SAM-103 SAM-104 any order of submits, claims and changes, with commits failing, leaves what a model expects', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 5, maxLength: 60, size: 'max' }), async walk => {
      const world = new World();
      try {
        for (const step of walk) {
          await world.take(step);
          if (step.do !== 'fail the next commit') await world.check();
        }
      } finally {
        await world.store.stop();
      }
    }),
    { numRuns: 100 },
  );
});
