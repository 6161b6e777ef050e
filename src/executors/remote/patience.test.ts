// How long an agent is waited for, by a clock that moves only when told to.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { orderOf } from '../../../test/harness.ts';
import { VirtualClock } from '../../../test/simulation/clock.ts';
import type { FencingToken } from '../../domain/ids.ts';
import { DEFAULT_TENANT } from '../../domain/ids.ts';
import type { Task } from '../../domain/task.ts';
import type { AgentView, WorkAnswer, WorkRequest } from '../../engine/api.ts';
import type { OutboundRequest } from '../../engine/ports/outbound.ts';
import { createSealer } from '../../guards/sealer.ts';
import { Vault } from '../../guards/vault.ts';
import { pause } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { systemRandom } from '../../runtime/random.ts';
import { openSqliteInProcess } from '../../store/sqlite/open.ts';
import { AGENT, SECRET } from './far-agent.test.ts';
import { createRemoteAgents } from './index.ts';

const NOTHING: WorkAnswer = { leases: [], cancellations: [], extensions: [], rejected: [] };
const RUNNING = { current_status: { state: 'running' } };
const VIEW = {
  agent: {
    id: AGENT,
    tenant: DEFAULT_TENANT,
    kind: 'sam',
    types: [],
    capabilities: [],
    slots: 1,
    capacity: {},
    url: 'https://far.test',
  },
} as unknown as AgentView;

interface Scene {
  readonly timeoutMs: number;
  /** What the agent answers; it takes orders and runs for ever unless told otherwise. */
  readonly answer?: (path: string) => { readonly status: number; readonly json: object } | null;
}

/** A delegation whose engine has one task to lease, over a network that is a function. */
async function setup({ timeoutMs, answer = () => ({ status: 200, json: RUNNING }) }: Scene) {
  const clock = new VirtualClock();
  const random = systemRandom;
  const store = openSqliteInProcess({ path: ':memory:', clock, random, auditKey: Buffer.alloc(32) });
  const startedAt = clock.now();
  const since = () => clock.now() - startedAt;
  const asked: { readonly at: number; readonly path: string }[] = [];
  const results: WorkRequest['results'][number][] = [];
  const slotsAsked: { readonly at: number; readonly slots: number }[] = [];
  const task = leasedTask(startedAt, timeoutMs);
  let leases = [
    { task, token: 1 as FencingToken, expiresAt: startedAt + 30_000, secrets: {}, positions: {} },
  ];
  const remote = createRemoteAgents(
    {
      log: silentLog,
      clock,
      random,
      store,
      blobs: { write: () => Promise.reject(new Error('nothing is written')) },
      vault: new Vault(random, randomBytes(32)),
      sealer: createSealer(),
      engine: {
        agents: async () => [VIEW],
        task: async () => task,
        cancel: async () => task,
        async work({ slots, waitMs, results: told, signal }) {
          results.push(...told);
          if (waitMs === 0) return NOTHING;
          slotsAsked.push({ at: since(), slots });
          const given = { ...NOTHING, leases: slots === 0 ? [] : leases };
          if (slots > 0) leases = [];
          if (given.leases.length === 0) await pause(clock, waitMs, signal).catch(() => {});
          return given;
        },
      },
      outbound: {
        async send({ url }: OutboundRequest) {
          const path = new URL(url).pathname.replace('/api/v2/', '');
          asked.push({ at: since(), path });
          const answered = answer(path);
          if (answered === null) throw new Error('no way');
          const body = Buffer.from(JSON.stringify(answered.json));
          return { status: answered.status, headers: {}, body, durationMs: 1 };
        },
      },
    },
    { serverId: 'here', version: '0', receiverUrl: 'https://here.test/hook' },
  );
  await remote.enrol({ tenant: DEFAULT_TENANT, agentId: AGENT, webhookSecret: SECRET });
  await remote.start();
  const polls = () => asked.filter(one => one.path === 'task-status/e.1').map(one => one.at);
  const asksFor = (slots: number) => slotsAsked.filter(one => one.slots === slots).map(one => one.at);
  return { clock, polls, asked, results, asksFor };
}

function leasedTask(claimedAt: number, timeoutMs: number): Task {
  const lease = { token: 1, agentId: AGENT, claimedAt, deadlineAt: claimedAt + timeoutMs };
  return { ...orderOf('one'), executionId: 'e', attempt: 1, lease } as unknown as Task;
}

test('SAM-99 an agent is asked after every 60 s without a word, and once more before the deadline', async () => {
  const { clock, polls } = await setup({ timeoutMs: 200_000 });
  await clock.advance(59_999);
  assert.deepEqual(polls(), []);
  await clock.advance(140_001);
  assert.deepEqual(polls(), [60_000, 120_000, 180_000, 190_000]);
});

test('SAM-99 an agent that answers nothing for five minutes has failed, and is told to stop should it come back', async () => {
  const answer = (path: string) => (path === 'execute-task' ? { status: 200, json: {} } : null);
  const { clock, polls, results, asked } = await setup({ timeoutMs: 3_600_000, answer });
  await clock.advance(299_999);
  assert.equal(results.length, 0);
  await clock.advance(2);
  assert.equal(polls().length, 5);
  assert.equal(results.length, 1);
  assert.equal(results[0]?.error?.code, 'dependency_failed');
  assert.equal(results[0]?.error?.recoverable, true);
  assert.equal(asked.at(-1)?.path, 'tasks/e.1/cancel');
});

test('an agent that is full gets no more work until it said to come back', async () => {
  const error = { code: 'RESOURCE_EXHAUSTED', message: 'full', retry_after: 45 };
  const { clock, results, asksFor } = await setup({
    timeoutMs: 3_600_000,
    answer: () => ({ status: 503, json: { error } }),
  });
  await clock.advance(44_999);
  assert.equal(results[0]?.error?.code, 'resource_exhausted');
  assert.deepEqual(
    asksFor(1).filter(at => at > 0),
    [],
  );
  await clock.advance(1);
  assert.equal(asksFor(1).at(-1), 45_000);
});

test('an agent that lets nobody in, or cannot be reached, gets no more work for a while', async () => {
  const closed = () => ({ status: 401, json: { error: { code: 'UNAUTHORIZED', message: 'who?' } } });
  for (const [answer, at] of [
    [closed, 1_000],
    [() => null, 7_000],
  ] as const) {
    const { clock, asksFor } = await setup({ timeoutMs: 3_600_000, answer });
    await clock.advance(at - 1);
    assert.deepEqual(
      asksFor(1).filter(asked => asked > 0),
      [],
    );
    await clock.advance(1);
    assert.equal(asksFor(1).at(-1), at);
  }
});
