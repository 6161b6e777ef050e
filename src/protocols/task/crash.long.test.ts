// A server that is killed while it takes task messages: each is wholly applied or absent, with its effects, events and answer. And what such a
// server says of errors in its log.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Correspondent, correspondent } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { ADMIN, type ServerProcess, serverProcess } from '../../../test/server.ts';
import type { JsonObject } from '../../domain/json.ts';
import { written } from './fixture.test.ts';

const KILLS = 2;
const INBOX = 'sender';

let server: ServerProcess;
let boss: Correspondent;
const dir = mkdtempSync(join(tmpdir(), 'batuta-task-'));
before(async () => {
  server = await serverProcess(dir, { BATUTA_SLOTS: '0' });
  await server.start();
  boss = correspondent(server.url, { 'x-api-key': ADMIN.key, 'x-api-secret': ADMIN.secret });
});
after(async () => {
  await server.kill();
  rmSync(dir, { recursive: true, force: true });
});

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

const submit = (id: string): JsonObject =>
  written('task.submit', `s-${id}`, { from: INBOX, task_id: id, task_type: 'work' });
const sync = (id: string): JsonObject =>
  written('state.sync', `y-${id}`, { from: INBOX, task_id: id, state: { by: id }, expected_version: 1 });

test('TASK-59 every protocol error is in the log with code, severity, context and trace id, whether it answers a message, bytes or a request without credentials', async () => {
  const traceparent = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`;
  const path = '/protocols/task/messages';
  await boss.ask('POST', path, { ...submit('wrong'), priority: -1 }, { traceparent });
  await boss.ask('POST', path, [{ ...submit('among'), task_id: '' }, submit('good')], { traceparent });
  await boss.ask('POST', path, '{"type":', { traceparent });
  await fetch(`${server.url}${path}`, { method: 'POST', headers: { traceparent }, body: '{}' });
  const logged = (): readonly Loose[] =>
    server.said
      .split('\n')
      .filter(line => line.startsWith('{'))
      .map(line => JSON.parse(line))
      .filter(({ protocol }) => protocol === 'task');
  const until = Date.now() + 5_000;
  while (logged().length < 4 && Date.now() < until) await pause(50);
  assert.deepEqual(
    logged().map(({ code, severity, context, traceId }) => [code, severity, context.message_id, traceId]),
    [
      ['MSG001', 'error', 's-wrong', 'ab'.repeat(16)],
      ['MSG001', 'error', 's-among', 'ab'.repeat(16)],
      ['MSG002', 'error', null, 'ab'.repeat(16)],
      ['COM-AUTH', 'error', undefined, 'ab'.repeat(16)],
    ],
  );
  const [first] = logged();
  assert.deepEqual([first?.context.type, first?.context.tenant], ['task.submit', 'default']);
});

/** Sends submissions in batches while the server is killed again and again; which were sent, and which were answered as accepted. */
async function sentWhileKilled(): Promise<{
  readonly sent: ReadonlySet<string>;
  readonly accepted: ReadonlySet<string>;
}> {
  const [sent, accepted] = [new Set<string>(), new Set<string>()];
  let made = 0;
  const send = async (): Promise<void> => {
    const ids = Array.from({ length: 10 }, () => `t${made++}`);
    for (const id of ids) sent.add(id);
    const answer = await boss.send('task', ids.map(submit)).catch(() => null);
    for (const { message_id: id, status } of answer?.body.results ?? []) {
      assert.equal(status, 'accepted');
      accepted.add(String(id).slice(2));
    }
  };
  for (let kill = 0; kill < KILLS; kill++) {
    let isOver = false;
    const killing = (async () => {
      // In the middle of what comes next, each time a little later in it.
      const signal = AbortSignal.timeout(20_000);
      while (accepted.size < 30 * (kill + 1) && !signal.aborted) await pause(2);
      await pause(5 * kill);
      await server.kill();
      isOver = true;
    })();
    const working = [1, 2].map(async () => {
      while (!isOver) await send();
    });
    await Promise.all([killing, ...working]);
    await server.start();
  }
  return { sent, accepted };
}

test('TASK-64 TASK-44 after a kill at any instant each item is wholly applied, with its effects, its events in order and its answer, or absent; nothing answered as accepted is lost', async t => {
  const { sent, accepted } = await sentWhileKilled();
  const inbox = new Map<string, Loose[]>();
  const drain = async (): Promise<number> => {
    const got = await boss.read('task', INBOX, { max: 100, wait: 1 });
    if (got.length === 0) return 0;
    for (const { message } of got)
      inbox.set(message.task_id, [...(inbox.get(message.task_id) ?? []), message]);
    const items = got.map(({ delivery_id }) => ({ delivery_id, outcome: 'ack' }));
    await boss.ask('POST', `/protocols/task/inbox/${INBOX}/ack`, { items });
    return got.length;
  };
  const complete = (id: string): boolean => {
    const got = inbox.get(id) ?? [];
    return (
      got.some(({ type }) => type === 'task.control.ack') && got.some(one => one.type === 'state.changed')
    );
  };
  const until = Date.now() + 40_000;
  while (Date.now() < until && ((await drain()) > 0 || [...accepted].some(id => !complete(id))));
  assert.ok(accepted.size >= 30 * KILLS, `${accepted.size} were accepted`);
  let absent = 0;
  const shown = await Promise.all(
    [...sent].map(async id => [id, await boss.ask('GET', `/protocols/task/tasks/${id}`)] as const),
  );
  for (const [id, { status, body: task }] of shown) {
    const told = inbox.get(id) ?? [];
    if (status === 404) {
      absent += 1;
      assert.ok(!accepted.has(id), `${id} was accepted and is lost`);
      assert.deepEqual(told, [], `${id} is absent, but for what was said of it`);
      continue;
    }
    assert.equal(task.status, 'pending');
    assert.equal(told.filter(({ type }) => type === 'task.control.ack').length, 1, `${id} has one answer`);
    const versions = told.filter(({ type }) => type === 'state.changed').map(({ version }) => version);
    assert.deepEqual(
      versions,
      Array.from({ length: task.shared_state.version }, (_, index) => index + 1),
      `${id} has each of its events once, in order`,
    );
  }
  t.diagnostic(`${accepted.size} accepted, ${sent.size - absent} applied, ${absent} absent`);
});

test('TASK-64 TASK-44 a change of shared state and its event are both there after a kill, or neither', async () => {
  const id = 'shared';
  assert.equal((await boss.send('task', submit(id), '?wait=10')).status, 202);
  const version = async (): Promise<number> =>
    (await boss.ask('GET', `/protocols/task/tasks/${id}`)).body.shared_state.version;
  let base = await version();
  for (let last = -1; base !== last || base === 0; base = await version()) {
    last = base;
    await pause(300);
  }
  const change = { ...sync(id), expected_version: base };
  const changing = boss.send('task', change).catch(() => null);
  await pause(4);
  await server.kill();
  const answered = await changing;
  await server.start();
  // Sent again it is what it was, or what it is now.
  const again = await boss.send('task', change);
  if (answered?.status === 202) assert.deepEqual([again.status, again.body.status], [200, 'duplicate']);
  assert.ok([200, 202].includes(again.status), JSON.stringify(again.body));
  const seen: Loose[] = [];
  const until = Date.now() + 15_000;
  const of = (type: string) =>
    seen.filter(one => one.type === type && (one.version === base + 1 || one.reply_to === `y-${id}`));
  while (Date.now() < until && (of('state.changed').length === 0 || of('task.control.ack').length === 0))
    for (const { message, delivery_id } of await boss.read('task', INBOX, { wait: 1, max: 100 })) {
      if (message.task_id === id) seen.push(message);
      await boss.settle('task', INBOX, delivery_id);
    }
  assert.deepEqual([of('state.changed').length, of('task.control.ack').length], [1, 1]);
  assert.equal(await version(), base + 1);
});
