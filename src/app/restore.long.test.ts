// Restores into other places and into the same one: what a server makes of a restored directory, and what is refused.

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { hire, statusOf, submit, taskOf, type Worker } from '../../test/e2e/crew.ts';
import { openMailbox } from '../../test/e2e/mailbox.ts';
import { type Running, running } from '../../test/e2e/running.ts';
import type { Loose } from '../../test/serve.ts';
import { takeBackup } from './backup.ts';
import { type Config, loadConfig } from './config.ts';
import { restoreBackup } from './restore.ts';

/** A server that serves, and directories for backups and for a second life. */
async function setup(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), 'batuta-restore-'));
  const [first, second, to] = [join(root, 'first'), join(root, 'second'), join(root, 'backups')];
  const house = await running({}, first);
  t.after(async () => {
    await house.stop();
    rmSync(root, { recursive: true, force: true });
  });
  const start = async (dataDir: string): Promise<Running> => {
    const started = await running({}, dataDir);
    t.after(() => started.stop());
    return started;
  };
  const backUp = async (): Promise<string> => (await takeBackup(configFor(first), { to })).directory;
  return { house, first, second, backUp, start };
}

function configFor(dataDir: string): Config {
  return loadConfig({ environment: {}, flags: { dataDir } });
}

const restore = (dataDir: string, from: string, force = false) =>
  restoreBackup(configFor(dataDir), { from, force });

/** Names, sizes and times of all files below a directory. */
function stateOf(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map(name => [name, statSync(join(directory, name))] as const)
    .map(([name, { size, mtimeMs }]) => `${name} ${size} ${mtimeMs}`)
    .toSorted();
}

/** A worker of the same name and kind at another server. */
const again = (house: Running, kind: string): Promise<Worker> => hire(house.admin, kind);

test('SAM-219 SAM-221 a restored server has the tasks, the artifacts and the keys, and goes on from there', async t => {
  const { house, second, backUp, start } = await setup(t);
  const worker = await hire(house.admin, 'kind');
  await submit(house.admin, taskOf('ended', 'kind'));
  await worker.complete(await worker.lease(), { sum: 2 });
  await submit(house.admin, taskOf('waiting', 'kind'));
  const headers = { 'content-type': 'text/plain' };
  await house.admin.ask('POST', '/api/v2/artifacts?name=report', { raw: 'the bytes', headers });
  const from = await backUp();
  await submit(house.admin, taskOf('too-late', 'kind'));

  const report = await restore(second, from);
  assert.deepEqual([report.tasks, report.active_tasks, report.requeued_tasks], [2, 1, 0]);
  assert.equal(report.replaced, undefined);
  for (const file of ['batuta.db', 'house-keys.json', 'credentials.json'])
    assert.equal(statSync(join(second, file)).mode & 0o077, 0, file);

  const revived = await start(second);
  assert.deepEqual(revived.server.credentials.api_key, house.server.credentials.api_key);
  const { output } = (await statusOf(revived.admin, 'ended')).execution_details;
  assert.deepEqual(output, { sum: 2 });
  await revived.admin.get('/api/v2/task-status/too-late', { expect: 404 });
  assert.equal((await revived.admin.get('/api/v2/artifacts/report')).body, 'the bytes');
  const heir = await again(revived, 'kind');
  const lease = await heir.lease();
  assert.equal(lease.task.task_id, 'waiting');
  await heir.complete(lease, null);
  const { leases } = await heir.exchange({ slots: 5, wait_seconds: 0 });
  assert.deepEqual(leases, [], 'nothing that had ended runs again');
  const { body: audit } = await revived.admin.get('/api/v2/audit?action=backup.restored');
  assert.equal(audit.entries.length, 1);
  assert.equal((await revived.admin.get('/api/v2/audit/verify')).body.intact, true);
});

test('SAM-221 a task held at the time of the backup waits again, its old lease is void, and it is done exactly once', async t => {
  const { house, second, backUp, start } = await setup(t);
  const mailbox = await openMailbox();
  t.after(() => mailbox.close());
  const plan = { webhook_url: mailbox.url, notification_events: ['task_completed'] };
  const survivor = await hire(house.admin, 'kind');
  await submit(house.admin, taskOf('held', 'kind', { notification_config: plan }));
  const before = await survivor.lease();
  await survivor.report(before, { percentage: 40, checkpoint: { page: 4 } });
  const from = await backUp();
  // The first server lives on past the backup and gives out further tokens before it is lost.
  await submit(house.admin, taskOf('after', 'kind'));
  const lostToo = await survivor.lease();
  await house.stop();

  const report = await restore(second, from);
  assert.deepEqual([report.active_tasks, report.requeued_tasks], [1, 1]);
  const revived = await start(second);
  const status = await statusOf(revived.admin, 'held');
  assert.equal(status.current_status.state, 'queued');

  // The worker that outlived the server comes with its old token, and with one the backup never knew.
  const old = await again(revived, 'kind');
  for (const said of [
    await old.complete(before, 'from the past'),
    await old.report(before, { percentage: 90 }),
    await old.complete(lostToo, 'from a past that is gone'),
  ])
    assert.deepEqual([...new Set(said.rejected.map((one: Loose) => one.error.code))], ['LEASE_LOST']);
  const beat = await old.exchange({ heartbeats: [{ task_id: 'held', fencing_token: before.fencing_token }] });
  assert.equal(beat.extensions.length, 0);

  const lease = await old.lease();
  assert.deepEqual([lease.task.task_id, lease.checkpoint], ['held', { page: 4 }]);
  assert.equal(lease.fencing_token > lostToo.fencing_token + 1_000_000_000, true);
  await old.complete(lease, 'the one result');
  const late = await old.complete(before, 'from the past');
  assert.equal(late.rejected[0].error.code, 'LEASE_LOST');
  const told = await mailbox.find(({ body }) => body.event_type === 'task_completed');
  assert.match(JSON.stringify(told.body), /the one result/);
  const { leases } = await old.exchange({ slots: 5, wait_seconds: 0 });
  assert.deepEqual(leases, []);
  assert.equal(mailbox.letters.filter(({ body }) => body.event_type === 'task_completed').length, 1);
});

test('SAM-221 deliveries that were under way resume with their ids', async t => {
  const { house, second, backUp, start } = await setup(t);
  let unwell = true;
  const mailbox = await openMailbox(() => ({ status: unwell ? 503 : 200 }));
  t.after(() => mailbox.close());
  const plan = { webhook_url: mailbox.url, notification_events: ['task_completed'] };
  const worker = await hire(house.admin, 'kind');
  await submit(house.admin, taskOf('told', 'kind', { notification_config: plan }));
  await worker.complete(await worker.lease(), null);
  const first = await mailbox.find(() => true);
  const from = await backUp();
  await house.stop();
  const tried = mailbox.letters.length;
  unwell = false;
  const { deliveries_pending } = await restore(second, from);
  assert.equal(deliveries_pending, 1);
  await start(second);
  const resumed = await mailbox.find(letter => mailbox.letters.indexOf(letter) >= tried);
  assert.equal(resumed.headers['x-delivery-id'], first.headers['x-delivery-id']);
  assert.deepEqual(resumed.body, first.body);
});

test('SAM-221 a damaged or newer backup, a directory in use and one with data are refused and left as they are', async t => {
  const { house, first, second, backUp } = await setup(t);
  const from = await backUp();
  await assert.rejects(restore(first, from, true), {
    code: 'unavailable',
    message: /open in another process/,
  });
  await house.stop();
  const before = stateOf(first);
  await assert.rejects(restore(first, from), { code: 'conflict', message: /there are data/ });
  const manifest = readFileSync(join(from, 'manifest.json'), 'utf8');
  writeFileSync(join(from, 'manifest.json'), manifest.replace('"format": 1', '"format": 2'));
  await assert.rejects(restore(first, from, true), { code: 'unavailable', message: /newer program/ });
  writeFileSync(join(from, 'manifest.json'), manifest);
  writeFileSync(join(from, 'house-keys.json'), '{}');
  await assert.rejects(restore(first, from, true), { code: 'unavailable', message: /damaged: house-keys/ });
  await assert.rejects(restore(second, from), { code: 'unavailable' });
  const changed = stateOf(first).filter(
    line => !before.includes(line) && !line.startsWith('batuta.db.lock '),
  );
  assert.deepEqual(changed, []);
  assert.throws(() => readdirSync(second), { code: 'ENOENT' });
});

test('SAM-221 a forced restore moves what was there aside, whole, and touches nothing else', async t => {
  const { house, first, backUp, start } = await setup(t);
  await hire(house.admin, 'kind');
  await submit(house.admin, taskOf('early', 'kind'));
  const from = await backUp();
  await submit(house.admin, taskOf('late', 'kind'));
  await house.stop();
  writeFileSync(join(first, 'notes of the operator'), 'mine');
  const keys = readFileSync(join(first, 'house-keys.json'), 'utf8');
  const { replaced = '' } = await restore(first, from, true);
  assert.equal(readFileSync(join(first, 'notes of the operator'), 'utf8'), 'mine');
  assert.equal(readFileSync(join(replaced, 'house-keys.json'), 'utf8'), keys);
  const old = new DatabaseSync(join(replaced, 'batuta.db'), { readOnly: true });
  assert.deepEqual(
    old
      .prepare('SELECT id FROM task ORDER BY key')
      .all()
      .map(row => row.id),
    ['early', 'late'],
  );
  old.close();
  assert.deepEqual(
    readdirSync(first).filter(name => name.startsWith('restoring-')),
    [],
  );
  const revived = await start(first);
  await statusOf(revived.admin, 'early');
  await revived.admin.get('/api/v2/task-status/late', { expect: 404 });
});
