// Steps that wait for no task: for a time, a message, a decision; over restarts and between nodes.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { share } from '../../../test/shared.ts';
import { VirtualClock } from '../../../test/simulation/clock.ts';
import type { AgentId, TaskId } from '../../domain/ids.ts';
import { DEFAULT_TENANT } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import { APPROVAL_KIND, MESSAGE_KIND, messageId } from '../../domain/workflow-documents.ts';
import { systemRandom } from '../../runtime/random.ts';
import { openSqliteInProcess } from '../../store/sqlite/open.ts';
import { $, endedOf, type Loose, step, works } from './fixture.test.ts';

function setup(t: TestContext) {
  const clock = new VirtualClock();
  const truth = openSqliteInProcess({
    path: ':memory:',
    clock,
    random: systemRandom,
    auditKey: Buffer.alloc(32),
  });
  const open = share(truth);
  t.after(() => truth.stop());
  const task = async () => (await truth.read([{ tenant: DEFAULT_TENANT, id: 'w' as TaskId }]))[0];
  return {
    clock,
    truth,
    task,
    async node(id: string) {
      const handle = open();
      const one = await works(
        { after: () => {} },
        { clock, store: handle.store, options: { serverId: id as AgentId, drainMs: 0 } },
      );
      return { ...one, handle };
    },
    async pass(ms: number): Promise<string> {
      for (let left = ms; left > 0; left -= 100) await clock.advance(100);
      const now = await task();
      return now?.outcome ?? now?.state ?? 'gone';
    },
    async approvals(): Promise<readonly { id: string; body: Loose; version: number }[]> {
      return await truth.documents({ tenant: DEFAULT_TENANT, kind: APPROVAL_KIND });
    },
  };
}

test('SAM-164 a wait takes its time, over the death of its node', async t => {
  const { clock, node, pass } = setup(t);
  const until = new Date(clock.now() + 60_000).toISOString();
  const [a] = [await node('a'), await node('b')];
  await a.start('w', {
    input: { until },
    steps: [
      { id: 'short', kind: 'wait', seconds: 2 },
      { id: 'long', kind: 'wait', until: $('input.until'), depends_on: ['short'] },
      step('end', {}, { depends_on: ['long'] }),
    ],
  });
  assert.equal(await pass(20_000), 'running');
  a.handle.cut();
  assert.equal(await pass(39_000), 'running');
  assert.equal(await pass(3_000), 'completed');
});

test('SAM-164 a message that came to another node, and before its time, is received', async t => {
  const { node, pass, truth, task } = setup(t);
  const a = await node('a');
  const send = (name: string, payload: JsonObject) =>
    truth.putDocuments([
      { tenant: DEFAULT_TENANT, kind: MESSAGE_KIND, id: messageId('w', name), body: { payload } },
    ]);
  await send('early', { n: 1 });
  await a.start('w', {
    steps: [
      { id: 'one', kind: 'wait', message: 'early' },
      { id: 'two', kind: 'wait', message: 'late', depends_on: ['one'] },
      {
        id: 'three',
        kind: 'wait',
        message: 'never',
        timeout: 5,
        depends_on: ['two'],
        on_failure: 'continue',
      },
    ],
    output: [$('steps.one.output.payload.n'), $('steps.two.output.payload.n'), $('steps.three.error.code')],
  });
  assert.equal(await pass(2_000), 'running');
  await send('late', { n: 2 });
  assert.equal(await pass(4_000), 'running');
  assert.equal(await pass(5_000), 'completed');
  assert.deepEqual(((await task())?.result?.output as Loose)?.result, [1, 2, 'task_timeout']);
});

test('SAM-210 an approval survives restarts, and one that nobody decides in time is rejected', async t => {
  const { node, pass, approvals, truth, task } = setup(t);
  const a = await node('a');
  await a.start('w', {
    steps: [
      { id: 'first', kind: 'approval', expires_in: 60 },
      { id: 'second', kind: 'approval', expires_in: 30, depends_on: ['first'] },
    ],
  });
  await pass(1_000);
  a.handle.cut();
  const [asked] = await approvals();
  assert.equal(asked?.id, 'w.first');
  // Approved while nobody runs it, and in time; it is looked at only after its time.
  await truth.putDocuments([
    {
      tenant: DEFAULT_TENANT,
      kind: APPROVAL_KIND,
      id: 'w.first',
      body: { ...asked?.body, state: 'approved', decided_by: 'boss' },
    },
  ]);
  await pass(70_000);
  await node('b');
  assert.equal(await pass(20_000), 'running');
  assert.deepEqual(
    (await approvals()).map(({ id, body }) => [id, body.state]),
    [
      ['w.first', 'approved'],
      ['w.second', 'waiting'],
    ],
  );
  assert.equal(await pass(40_000), 'failed');
  assert.equal((await task())?.result?.error?.code, 'task_timeout');
  assert.deepEqual(
    (await approvals()).map(({ id, body }) => [id, body.state]),
    [
      ['w.first', 'approved'],
      ['w.second', 'expired'],
    ],
  );
});

test('SAM-167 when the coordinator’s node dies another goes on, and when it drains another goes on at once', async t => {
  const { node, pass, task } = setup(t);
  const [a, b] = [await node('a'), await node('b')];
  const steps = Array.from({ length: 6 }, (_, at) => [
    { id: `wait${at}`, kind: 'wait', seconds: 10, ...(at === 0 ? {} : { depends_on: [`step${at - 1}`] }) },
    step(`step${at}`, { answer: at }, { depends_on: [`wait${at}`] }),
  ]).flat();
  await a.start('w', { steps });
  await pass(15_000);
  const first = (await task())?.agentId;
  const [leads, other] = first === ('a' as AgentId) ? [a, b] : [b, a];
  leads.handle.cut();
  await pass(35_000);
  assert.notEqual((await task())?.agentId, first);
  const c = await node('c');
  const draining = other.house.engine.drain(60_000);
  await pass(1_000);
  assert.equal((await task())?.agentId, 'c');
  await draining;
  assert.equal(await pass(60_000), 'completed');
  const { output } = await endedOf(c.house, 'w');
  assert.equal(output.steps.step5.output, 5);
  const ran = [...a.ran, ...b.ran, ...c.ran];
  assert.deepEqual([...new Set(ran)].length, ran.length);
});
