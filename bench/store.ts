// How fast the SQLite store takes tasks through their lives: submit, claim, settle. Prints one table; `node bench/store.ts [seconds]`.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentId, ExecutionId, TaskId, TenantId } from '../src/domain/ids.ts';
import { queueOf } from '../src/domain/queue.ts';
import { RETRY_POLICIES } from '../src/domain/retry.ts';
import type { TaskSpec } from '../src/domain/task.ts';
import { systemClock } from '../src/runtime/clock.ts';
import { systemRandom } from '../src/runtime/random.ts';
import type { Claimed, NewTask, TaskChange } from '../src/store/rows.ts';
import { openSqlite, openSqliteInProcess } from '../src/store/sqlite/open.ts';
import type { Store } from '../src/store/store.ts';

const SECONDS = Number(process.argv[2] ?? 3);
const TENANT = 'acme' as TenantId;
const AGENT = 'worker' as AgentId;
const AUDIT_KEY = 'bench';

/** About 500 bytes, as in the comparisons of the field. */
const SPEC: TaskSpec = {
  type: 'custom',
  typeName: 'echo',
  description: 'echo what is sent',
  payload: { type_name: 'echo', input: 'x'.repeat(120) },
  priority: 5,
  requester: { agentId: 'orchestrator' as AgentId },
  timeoutMs: 300_000,
  retry: RETRY_POLICIES.exponential,
  resources: { memoryMb: 128, cpuCores: 1 },
  variables: {},
  secretNames: [],
  dependencies: [],
  dependsOn: [],
  traceId: '0af7651916cd43dd8448eb211c80319c',
  depth: 0,
};
const QUEUE = queueOf(TENANT, SPEC);

let made = 0;

function newTask(): NewTask {
  made += 1;
  return {
    tenant: TENANT,
    id: `task-${made}` as TaskId,
    executionId: systemRandom.uuid() as ExecutionId,
    spec: SPEC,
    fingerprint: `2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e88${made}`,
    queue: QUEUE,
    state: 'queued',
    events: [
      { kind: 'state', from: null, to: 'submitted', actor: 'key:1', phase: 'init' },
      { kind: 'state', from: 'submitted', to: 'validated', actor: 'system', phase: 'init' },
      { kind: 'state', from: 'validated', to: 'queued', actor: 'system', phase: 'init' },
    ],
    timers: [],
    waitingMax: 10_000_000,
  };
}

function completion({ task, token }: Claimed): TaskChange {
  const actor = `agent:${AGENT}`;
  return {
    key: task.key,
    guard: { by: 'lease', token },
    events: [
      { kind: 'state', from: 'running', to: 'completing', actor, phase: 'run', attempt: task.attempt },
      { kind: 'state', from: 'completing', to: 'completed', actor, phase: 'run', attempt: task.attempt },
      { kind: 'state', from: 'completed', to: 'archiving', actor: 'system', phase: 'archive' },
      { kind: 'state', from: 'archiving', to: 'archived', actor: 'system', phase: 'archive' },
    ],
    state: 'archived',
    outcome: 'completed',
    placement: 'nowhere',
    result: { output: { echoed: 'x'.repeat(120) }, metrics: { executionSeconds: 0.01 } },
  };
}

/** Lives a second when each verb carries `size` tasks and one caller waits for each. */
async function batched(store: Store, size: number): Promise<number> {
  const until = performance.now() + SECONDS * 1_000;
  const started = performance.now();
  let lives = 0;
  while (performance.now() < until) {
    await store.submit(Array.from({ length: size }, newTask));
    const queues = (await store.queues()).map(({ id }) => id);
    const [claims = []] = await store.claim([{ agentId: AGENT, queues, limit: size, leaseMs: 10_000 }]);
    await store.commit(claims.map(completion));
    lives += claims.length;
  }
  return rate(lives, started);
}

/** Lives a second when so many callers submit one task each and wait for its end, and one dispatcher claims for all. */
async function concurrent(store: Store, callers: number): Promise<number> {
  await store.submit([newTask()]);
  const queues = (await store.queues()).map(({ id }) => id);
  const until = performance.now() + SECONDS * 1_000;
  const started = performance.now();
  let lives = 0;
  let submitting = callers;
  const ends = new Map<string, () => void>();
  const settle = async (claim: Claimed): Promise<void> => {
    await store.commit([completion(claim)]);
    lives += 1;
    ends.get(claim.task.id)?.();
    ends.delete(claim.task.id);
  };
  const dispatch = async (): Promise<void> => {
    while (submitting > 0) {
      const [claims = []] = await store.claim([{ agentId: AGENT, queues, limit: callers, leaseMs: 10_000 }]);
      for (const claim of claims) void settle(claim);
    }
  };
  const call = async (): Promise<void> => {
    while (performance.now() < until) {
      const task = newTask();
      const ended = new Promise<void>(resolve => ends.set(task.id, resolve));
      await store.submit([task]);
      await ended;
    }
    submitting -= 1;
  };
  await Promise.all([dispatch(), ...Array.from({ length: callers }, call)]);
  return rate(lives, started);
}

/** Submits a second when so many callers submit one task each. */
async function submits(store: Store, callers: number): Promise<number> {
  const until = performance.now() + SECONDS * 1_000;
  const started = performance.now();
  let done = 0;
  const call = async (): Promise<void> => {
    while (performance.now() < until) {
      await store.submit([newTask()]);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: callers }, call));
  return rate(done, started);
}

function rate(done: number, started: number): number {
  return Math.round((done / (performance.now() - started)) * 1_000);
}

interface Run {
  readonly what: string;
  readonly threaded: boolean;
  readonly measure: (store: Store) => Promise<number>;
}

const RUNS: readonly Run[] = [
  { what: 'lives, one thread, 300 a verb', threaded: false, measure: store => batched(store, 300) },
  { what: 'lives, serving, 300 a verb', threaded: true, measure: store => batched(store, 300) },
  ...[1, 64, 256, 512].flatMap(callers => [
    {
      what: `submits, serving, ${callers} callers`,
      threaded: true,
      measure: (store: Store) => submits(store, callers),
    },
    {
      what: `lives, serving, ${callers} callers`,
      threaded: true,
      measure: (store: Store) => concurrent(store, callers),
    },
  ]),
];

const table: Record<string, { readonly 'per second': number }> = {};
for (const { what, threaded, measure } of RUNS) {
  if (process.argv[3] !== undefined && !what.includes(process.argv[3])) continue;
  const directory = mkdtempSync(join(tmpdir(), 'batuta-bench-'));
  const path = join(directory, 'batuta.db');
  const store = threaded
    ? await openSqlite({ path, auditKey: AUDIT_KEY })
    : openSqliteInProcess({ path, clock: systemClock, random: systemRandom, auditKey: AUDIT_KEY });
  table[what] = { 'per second': await measure(store) };
  await store.stop();
  rmSync(directory, { recursive: true });
}
console.table(table);
