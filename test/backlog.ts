// A backlog as large as one likes: tasks of several custom types waiting in a store, and workers that hold many of them leased.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import type { ExecutionId } from '../src/domain/ids.ts';
import { DEFAULT_TENANT } from '../src/domain/ids.ts';
import { queueOf } from '../src/domain/queue.ts';
import { systemRandom } from '../src/runtime/random.ts';
import type { NewTask } from '../src/store/rows.ts';
import type { Store } from '../src/store/store.ts';
import { orderOf } from './harness.ts';
import { ADMIN_HEADERS } from './server.ts';

const KINDS = 10;
const BATCH = 1_000;
/** What an agent may hold. */
const HELD_MAX = 100;
const BEAT_MS = 8_000;
const HOUR_MS = 3_600_000;

interface Held {
  readonly task_id: string;
  readonly fencing_token: number | string;
}

interface Holder {
  readonly agent: string;
  readonly held: readonly Held[];
}

/** Leases that workers hold. */
export interface Leases {
  readonly held: readonly Held[];
  /** Renews all of them every 8 s until it is told to stop; answers how many renewals were granted, and how many refused. */
  beat(until: AbortSignal): Promise<{ readonly kept: number; readonly lost: number }>;
  /** Renews all of them once. */
  beatOnce(): Promise<{ readonly kept: number; readonly lost: number }>;
}

/** Puts `task-0`, `task-1` … in line, of `custom:bench-0` to `custom:bench-9` by turns. */
export async function fillBacklog(store: Store, count: number): Promise<void> {
  for (let done = 0; done < count; done += BATCH)
    await store.submit(
      Array.from({ length: Math.min(BATCH, count - done) }, (_, at) => waitingTask(done + at)),
    );
}

/** The body of one more such task, as it is handed in. */
export function backlogTask(id: string): object {
  return {
    task_id: id,
    task_type: 'custom',
    description: 'a task of a backlog',
    orchestrator_info: { agent_id: 'bench', timestamp: '2026-01-01T00:00:00Z' },
    task_data: { type_name: 'bench-0', body: 'x'.repeat(200) },
  };
}

/** Has workers take so many tasks from a server; resolves when they hold them. */
export async function holdLeases(
  url: string,
  count: number,
  headers: Readonly<Record<string, string>> = ADMIN_HEADERS,
): Promise<Leases> {
  const exchange = exchangeAt(url, headers);
  const holders: Holder[] = [];
  for (let held = 0; held < count; held += HELD_MAX) {
    const agent = `holder-${holders.length}`;
    const wanted = Math.min(HELD_MAX, count - held);
    const leases: Held[] = [];
    while (leases.length < wanted) {
      const types = [`custom:bench-${holders.length % KINDS}`];
      const said = { agent_id: agent, types, slots: wanted - leases.length, wait_seconds: 5 };
      const { leases: taken } = await exchange(said);
      for (const { task, fencing_token } of taken) leases.push({ task_id: task.task_id, fencing_token });
    }
    holders.push({ agent, held: leases });
  }
  const beatOnce = async () => {
    let [kept, lost] = [0, 0];
    for (const { agent, held } of holders) {
      const types = ['custom:bench-0'];
      const said = { agent_id: agent, types, slots: 0, wait_seconds: 0, heartbeats: held };
      const { extensions, rejected } = await exchange(said);
      kept += extensions.length;
      lost += rejected.length;
    }
    return { kept, lost };
  };
  return {
    held: holders.flatMap(({ held }) => held),
    beatOnce,
    async beat(until) {
      let [kept, lost] = [0, 0];
      while (!until.aborted) {
        const one = await beatOnce();
        kept += one.kept;
        lost += one.lost;
        await pause(BEAT_MS, undefined, { signal: until }).catch(() => {});
      }
      return { kept, lost };
    },
  };
}

interface Exchanged {
  readonly leases: readonly {
    readonly task: { readonly task_id: string };
    readonly fencing_token: Held['fencing_token'];
  }[];
  readonly extensions: readonly unknown[];
  readonly rejected: readonly unknown[];
}

function exchangeAt(url: string, headers: Readonly<Record<string, string>>) {
  return async (said: object): Promise<Exchanged> => {
    const answer = await fetch(`${url}/api/v2/work`, { method: 'POST', headers, body: JSON.stringify(said) });
    const text = await answer.text();
    assert.equal(answer.status, 200, text);
    return JSON.parse(text) as Exchanged;
  };
}

function waitingTask(number: number): NewTask {
  const typeName = `bench-${number % KINDS}`;
  const { tenant, id, spec, fingerprint } = orderOf(`task-${number}`, {
    type: 'custom',
    typeName,
    payload: { type_name: typeName, body: 'x'.repeat(200) },
    timeoutMs: HOUR_MS,
  });
  return {
    tenant,
    id,
    executionId: systemRandom.uuid() as ExecutionId,
    spec,
    fingerprint,
    queue: queueOf(DEFAULT_TENANT, spec),
    state: 'queued',
    events: [{ kind: 'state', from: null, to: 'submitted', actor: 'bench', phase: 'init' }],
    timers: [],
    waitingMax: 100_000_000,
  };
}
