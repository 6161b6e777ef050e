// A world in a bottle: submitters, workers, controllers and receivers around engines that crash and stop, on a store that fails, all
// driven by one seed. After every step the invariants of the design are checked; at the end everything must have come to rest.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NOTIFICATION_EVENTS } from '../../src/domain/event.ts';
import type { AgentId, FencingToken, TaskId } from '../../src/domain/ids.ts';
import { DEFAULT_TENANT } from '../../src/domain/ids.ts';
import type { Task } from '../../src/domain/task.ts';
import { hasEnded } from '../../src/domain/transitions.ts';
import type { WorkResult } from '../../src/engine/api.ts';
import { type Random, seededRandom } from '../../src/runtime/random.ts';
import { openSqliteInProcess } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import { orderOf, planOf } from '../harness.ts';
import { VirtualClock } from './clock.ts';
import type { Faults } from './faults.ts';
import { Processes } from './nodes.ts';

const WORKERS = ['w1', 'w2', 'w3'] as const;
const LEASE_MS = 10_000;

interface Held {
  readonly taskId: TaskId;
  readonly token: FencingToken;
}

/** How many processes share the store in the world of a seed: one, two and three in turn. */
export function processesOf(seed: number): number {
  return 1 + (seed % 3);
}

/** Everything that is simulated under one seed. */
export class World {
  readonly #seed: number;
  readonly #clock = new VirtualClock();
  readonly #random: Random;
  readonly #truth: Store;
  readonly #faults: Faults = { refused: 0, lost: 0, hintsLost: 0.3, delayMsMax: 20 };
  readonly #acknowledged = new Map<string, number>();
  readonly #outcomes = new Map<string, string>();
  readonly #held = new Map<string, Held[]>(WORKERS.map(worker => [worker, []]));
  /** Results the engine confirmed, by task: the outcome must be one of these. */
  readonly #confirmed = new Map<string, Set<FencingToken>>();
  readonly #received = new Map<string, number>();
  readonly #dir = mkdtempSync(join(tmpdir(), 'batuta-world-'));
  readonly #processes: Processes;
  readonly #several: boolean;
  #named = 0;

  /** Of one process, or of several that share the store; `sabotage` breaks it on purpose, to prove that the checks see it. */
  constructor(
    seed: number,
    {
      sabotage = store => store,
      processes = 1,
    }: { readonly sabotage?: (store: Store) => Store; readonly processes?: number } = {},
  ) {
    this.#seed = seed;
    this.#several = processes > 1;
    this.#random = seededRandom(seed, () => this.#clock.now());
    this.#truth = openSqliteInProcess({
      path: ':memory:',
      clock: this.#clock,
      random: seededRandom(seed + 1, () => this.#clock.now()),
      auditKey: Buffer.alloc(32),
    });
    this.#processes = new Processes(
      {
        clock: this.#clock,
        random: this.#random,
        store: sabotage(this.#truth),
        faults: this.#faults,
        dir: this.#dir,
        send: message => this.#receive(message.notificationId),
        options: { leaseMs: LEASE_MS, slotsPerType: 0, archiveDelayMs: 2_000 },
      },
      processes,
    );
  }

  /** Lives through so many steps, checking after each, then lets everything come to rest and checks that it did; answers how each task ended. */
  async live(steps: number): Promise<readonly string[]> {
    try {
      await this.#processes.bootAll();
      for (let step = 0; step < steps; step++) {
        this.#faults.refused = step % 7 === 3 ? 0.3 : 0.02;
        this.#faults.lost = step % 5 === 2 ? 0.2 : 0.02;
        await this.#act();
        await this.#clock.advance(Math.floor(this.#random.fraction() * 3_000));
        await this.#check();
      }
      await this.#rest();
      await this.#during(this.#processes.stop());
      return [...this.#outcomes].map(([id, outcome]) => `${id} ${outcome}`);
    } finally {
      rmSync(this.#dir, { recursive: true, force: true });
    }
  }

  async #during<Value>(work: Promise<Value>): Promise<Value> {
    let done = false;
    const finished = work.finally(() => {
      done = true;
    });
    finished.catch(() => {});
    for (let waited = 0; !done && waited < 2_000; waited++) await this.#clock.advance(50);
    return finished;
  }

  async #act(): Promise<void> {
    if (this.#several && this.#random.fraction() < 0.05) return this.#processes.disturb();
    const roll = this.#random.fraction();
    if (roll < 0.04) return this.#crash();
    if (roll < 0.35) return void this.#submit();
    if (roll < 0.9) return void this.#exchange(this.#pick(WORKERS));
    return void this.#control();
  }

  async #crash(): Promise<void> {
    // A worker may die together with the node, or live on with what it holds.
    for (const worker of WORKERS) if (this.#random.fraction() < 0.3) this.#held.set(worker, []);
    await this.#processes.crash();
  }

  #submit(): void {
    const again = this.#random.fraction() < 0.2 && this.#acknowledged.size > 0;
    const id = again ? this.#pick([...this.#acknowledged.keys()]) : `t${++this.#named}`;
    const dependsOn =
      !again && this.#random.fraction() < 0.2 ? this.#some([...this.#acknowledged.keys()]) : [];
    const order = orderOf(id, {
      type: 'custom',
      typeName: 'work',
      priority: this.#pick([0, 2, 5, 8] as const),
      requester: { agentId: this.#pick(['a', 'b']) as AgentId },
      dependsOn: dependsOn as TaskId[],
      timeoutMs: 60_000,
      ...(this.#random.fraction() < 0.2 ? { notBefore: this.#clock.now() + 5_000 } : {}),
      ...(this.#random.fraction() < 0.5 ? { notification: planOf([...NOTIFICATION_EVENTS]) } : {}),
    });
    const submitted = this.#processes
      .any()
      ?.engine.submit([again ? { ...order, fingerprint: `fingerprint of ${id}` } : order]);
    submitted?.then(
      ([admission]) => {
        if (admission?.kind === 'admitted') this.#acknowledged.set(id, this.#clock.now());
      },
      () => {},
    );
  }

  #exchange(worker: (typeof WORKERS)[number]): void {
    const held = this.#held.get(worker) ?? [];
    const keep: Held[] = [];
    const results: WorkResult[] = [];
    const progress = [];
    const heartbeats: Held[] = [];
    for (const one of held) {
      const roll = this.#random.fraction();
      if (roll < 0.35) results.push({ ...one, status: 'completed', output: { by: one.token } });
      else if (roll < 0.45) results.push(failed(one, this.#random.fraction() < 0.5));
      else if (roll < 0.65)
        progress.push({ ...one, report: { percentage: 50, checkpoint: { token: one.token } } });
      else if (roll < 0.9) heartbeats.push(one);
      if (roll >= 0.45) keep.push(one);
    }
    this.#held.set(worker, keep);
    const exchange = this.#processes.any()?.engine.work({
      tenant: DEFAULT_TENANT,
      agentId: worker as AgentId,
      types: ['custom:work'],
      capabilities: [],
      slots: Math.max(0, 4 - keep.length),
      waitMs: this.#pick([0, 500, 5_000]),
      results,
      progress,
      logs: [],
      heartbeats,
    });
    exchange?.then(
      answer => {
        const refused = new Set(
          answer.rejected.filter(({ item }) => item === 'result').map(({ token }) => token),
        );
        for (const { taskId, token, status } of results) {
          if (refused.has(token) || status !== 'completed') continue;
          this.#confirmed.set(taskId, (this.#confirmed.get(taskId) ?? new Set()).add(token));
        }
        const gone = new Set(answer.cancellations.map(({ token }) => token));
        const still = (this.#held.get(worker) ?? []).filter(({ token }) => !gone.has(token));
        this.#held.set(worker, [
          ...still,
          ...answer.leases.map(({ task, token }) => ({ taskId: task.id, token })),
        ]);
      },
      () => {},
    );
  }

  #control(): void {
    const ids = [...this.#acknowledged.keys()];
    if (ids.length === 0) return;
    const call = { tenant: DEFAULT_TENANT, id: this.#pick(ids) as TaskId, actor: 'simulation' };
    const engine = this.#processes.any()?.engine;
    const verb = this.#pick(['cancel', 'pause', 'resume', 'resume'] as const);
    const done = verb === 'pause' ? engine?.pause({ ...call, force: true }) : engine?.[verb](call);
    done?.catch(() => {});
  }

  #receive(notification: string) {
    if (this.#random.fraction() < 0.2) {
      return { status: 503, durationMs: 5, answer: 'down', verdict: 'retry' as const };
    }
    this.#received.set(notification, (this.#received.get(notification) ?? 0) + 1);
    return { status: 200, durationMs: 5, answer: '', verdict: 'delivered' as const };
  }

  /** The invariants, judged by the store itself, not by what the engine believes. */
  async #check(): Promise<void> {
    const { items, total } = await this.#truth.list({ tenant: DEFAULT_TENANT, limit: 10_000, offset: 0 });
    assert.equal(items.length, total);
    const byId = new Map(items.map(task => [task.id as string, task]));
    for (const id of this.#acknowledged.keys())
      assert.ok(byId.has(id), this.#say(`acknowledged task ${id} is lost`));
    const leases = await this.#truth.leases({});
    const leased = new Set(leases.map(({ key }) => key));
    assert.equal(leased.size, leases.length, this.#say('a task is leased twice'));
    for (const task of items) await this.#checkTask(task, leased.has(task.key));
  }

  async #checkTask(task: Task, leased: boolean): Promise<void> {
    const ready = (await this.#truth.position(task.key, 1)) !== null;
    assert.ok(!(ready && leased), this.#say(`task ${task.id} is both queued and leased`));
    assert.equal(
      task.state === 'running',
      leased,
      this.#say(`task ${task.id} is ${task.state}, leased: ${leased}`),
    );
    assert.ok(!ready || task.state === 'queued', this.#say(`task ${task.id} is ready though ${task.state}`));
    const before = this.#outcomes.get(task.id);
    if (before !== undefined)
      assert.equal(task.outcome, before, this.#say(`task ${task.id} changed its outcome`));
    if (task.outcome !== null) this.#outcomes.set(task.id, task.outcome);
    const events = await this.#truth.events({ of: 'task', key: task.key, afterSequence: 0, limit: 10_000 });
    assert.deepEqual(
      events.map(event => event.sequence),
      Array.from({ length: task.version }, (_, index) => index + 1),
      this.#say(`events of ${task.id} have gaps`),
    );
    const ends = events.filter(event => event.kind === 'state' && event.to === task.outcome);
    assert.equal(
      ends.length,
      task.outcome === null ? 0 : 1,
      this.#say(`task ${task.id} ended ${ends.length} times`),
    );
    for (const token of this.#confirmed.get(task.id) ?? []) {
      const output = task.result?.output as { by?: unknown } | undefined;
      assert.equal(task.outcome, 'completed', this.#say(`a confirmed result of ${task.id} was not applied`));
      assert.equal(output?.by, token, this.#say(`two results of ${task.id} were confirmed`));
      assert.equal(
        task.lastToken,
        token,
        this.#say(`a result of ${task.id} came from a lease that was lost`),
      );
    }
  }

  /** No more faults, and workers that do their work: everything must end and be told. */
  async #rest(): Promise<void> {
    Object.assign(this.#faults, { refused: 0, lost: 0 });
    await this.#processes.bootAll();
    for (let round = 0; round < 400; round++) {
      const { items } = await this.#truth.list({ tenant: DEFAULT_TENANT, limit: 10_000, offset: 0 });
      const open = items.filter(task => task.state !== 'archived' && task.state !== 'rejected');
      const { deliveriesPending } = await this.#truth.measure();
      if (open.length === 0 && deliveriesPending === 0) break;
      const paused = open.find(task => task.state === 'paused');
      if (paused !== undefined) {
        await this.#during(this.#engineCall('resume', paused.id));
      }
      for (const worker of WORKERS) this.#exchange(worker);
      await this.#clock.advance(5_000);
    }
    await this.#check();
    const { items } = await this.#truth.list({ tenant: DEFAULT_TENANT, limit: 10_000, offset: 0 });
    for (const task of items)
      assert.ok(hasEnded(task.state), this.#say(`task ${task.id} never ended: ${task.state}`));
    const { items: deliveries } = await this.#truth.deliveries({
      tenant: DEFAULT_TENANT,
      limit: 100_000,
      offset: 0,
    });
    for (const { id, status } of deliveries) {
      assert.ok(
        ['delivered', 'failed', 'dropped'].includes(status),
        this.#say(`delivery ${id} was left ${status}`),
      );
    }
  }

  async #engineCall(verb: 'resume', id: TaskId): Promise<void> {
    await this.#processes
      .any()
      ?.engine[verb]({ tenant: DEFAULT_TENANT, id, actor: 'simulation' })
      .catch(() => {});
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.#random.fraction() * items.length)] as Item;
  }

  #some<Item>(items: readonly Item[]): Item[] {
    return items.filter(() => this.#random.fraction() < 0.3).slice(0, 3);
  }

  #say(what: string): string {
    return `${what} (seed ${this.#seed}; replay with: npm run simulate -- ${this.#seed})`;
  }
}

function failed(one: Held, recoverable: boolean): WorkResult {
  return { ...one, status: 'failed', error: { code: 'task_failed', message: 'simulated', recoverable } };
}
