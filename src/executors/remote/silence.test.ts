// When a silent agent is asked, by a clock that moves only when told to.

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
import { Vault } from '../../guards/vault.ts';
import { silentLog } from '../../runtime/log.ts';
import { systemRandom } from '../../runtime/random.ts';
import { openSqliteInProcess } from '../../store/sqlite/open.ts';
import { AGENT, SECRET } from './far-agent.test.ts';
import { createRemoteAgents } from './index.ts';

const NOTHING: WorkAnswer = { leases: [], cancellations: [], extensions: [], rejected: [] };
const RUNNING = { current_status: { state: 'running' } };

/** A delegation whose engine has one task to lease, and whose agent takes it and then says nothing. */
async function setup(options: { readonly timeoutMs: number; readonly reachable?: boolean }) {
  const clock = new VirtualClock();
  const random = systemRandom;
  const store = openSqliteInProcess({ path: ':memory:', clock, random, auditKey: Buffer.alloc(32) });
  const asked: { readonly at: number; readonly path: string }[] = [];
  const results: WorkRequest['results'][number][] = [];
  const startedAt = clock.now();
  const lease = { token: 1 as FencingToken, agentId: AGENT, claimedAt: startedAt };
  const until = { expiresAt: startedAt + 30_000, deadlineAt: startedAt + options.timeoutMs };
  const task = { ...orderOf('one'), executionId: 'e', attempt: 1, lease: { ...lease, ...until } };
  let waiting: Task | null = task as unknown as Task;
  const agent = { id: AGENT, tenant: DEFAULT_TENANT, kind: 'sam', types: [], capabilities: [], slots: 1 };
  const view = { agent: { ...agent, capacity: {}, url: 'https://far.test' } } as unknown as AgentView;
  const remote = createRemoteAgents(
    {
      log: silentLog,
      clock,
      random,
      store,
      blobs: { write: () => Promise.reject(new Error('nothing is written')) },
      vault: new Vault(random, randomBytes(32)),
      engine: {
        agents: async () => [view],
        task: async () => task as unknown as Task,
        cancel: async () => task as unknown as Task,
        work: async request => {
          results.push(...request.results);
          if (request.slots === 0) return NOTHING;
          if (waiting === null) return new Promise(() => {});
          const leased = { task: waiting, token: lease.token, expiresAt: until.expiresAt, secrets: {} };
          waiting = null;
          return { ...NOTHING, leases: [leased] };
        },
      },
      outbound: {
        async send({ url }: OutboundRequest) {
          const path = new URL(url).pathname.replace('/api/v2/', '');
          asked.push({ at: clock.now() - startedAt, path });
          const isAnswered = path === 'execute-task' || (options.reachable ?? true);
          if (!isAnswered) throw new Error('no way');
          return { status: 200, headers: {}, body: Buffer.from(JSON.stringify(RUNNING)), durationMs: 1 };
        },
      },
    },
    { serverId: 'here', version: '0', receiverUrl: 'https://here.test/hook' },
  );
  await remote.enrol({ tenant: DEFAULT_TENANT, agentId: AGENT, webhookSecret: SECRET });
  await remote.start();
  const polls = () => asked.filter(one => one.path === 'task-status/e.1').map(one => one.at);
  return { clock, polls, asked, results };
}

test('SAM-99 an agent is asked after every 60 s without a word, and once more before the deadline', async () => {
  const { clock, polls } = await setup({ timeoutMs: 200_000 });
  await clock.advance(59_999);
  assert.deepEqual(polls(), []);
  await clock.advance(140_001);
  assert.deepEqual(polls(), [60_000, 120_000, 180_000, 190_000]);
});

test('SAM-99 an agent that answers nothing for five minutes has failed, and is told to stop should it come back', async () => {
  const { clock, polls, results, asked } = await setup({ timeoutMs: 3_600_000, reachable: false });
  await clock.advance(299_999);
  assert.equal(results.length, 0);
  await clock.advance(2);
  assert.equal(polls().length, 5);
  assert.equal(results.length, 1);
  assert.equal(results[0]?.error?.code, 'dependency_failed');
  assert.equal(results[0]?.error?.recoverable, true);
  assert.equal(asked.at(-1)?.path, 'tasks/e.1/cancel');
});
