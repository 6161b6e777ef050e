// When callers are answered: not before the disk has what the answer tells of, and never again once the disk has failed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TaskId } from '../../domain/ids.ts';
import { systemClock } from '../../runtime/clock.ts';
import { seededRandom } from '../../runtime/random.ts';
import { ACME, order } from '../conformance-setup.ts';
import { SqliteCore } from './core.ts';
import { GroupCommit } from './group-commit.ts';
import { packTask } from './records.ts';

interface Disk {
  readonly commits: GroupCommit;
  /** Syncs under way, each to be ended by hand. */
  readonly syncs: { done(): void; fail(error: Error): void }[];
}

function setup(): Disk {
  const core = new SqliteCore({
    path: ':memory:',
    clock: systemClock,
    random: seededRandom(1, systemClock.now),
    auditKey: 'k',
  });
  const syncs: Disk['syncs'] = [];
  const sync = (): Promise<void> =>
    new Promise((resolve, reject) => syncs.push({ done: resolve, fail: reject }));
  return { syncs, commits: new GroupCommit(core, sync, () => {}) };
}

const submit = (id: string) => ({ verb: 'submit', args: [[packTask(order(id))], false] }) as const;
const read = (id: string) => ({ verb: 'read', args: [[{ tenant: ACME, id: id as TaskId }]] }) as const;
const turns = async (count = 3): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise(resolve => setImmediate(resolve));
};

test('neither who wrote nor who read what was written is answered before it is on disk', async () => {
  const { commits, syncs } = setup();
  const told: string[] = [];
  void commits.ask(submit('a')).then(() => told.push('written'));
  await turns();
  void commits.ask(read('a')).then(() => told.push('read'));
  await turns();
  assert.deepEqual([told, syncs.length], [[], 1]);
  syncs[0]?.done();
  await turns();
  assert.deepEqual(told.sort(), ['read', 'written']);
});

test('SAM-232 what many ask while the disk works goes as one transaction, a lone caller waits for nobody, and readers need no disk', async () => {
  const { commits, syncs } = setup();
  const first = commits.ask(submit('first'));
  await turns();
  const others = Array.from({ length: 100 }, (_, at) => commits.ask(submit(`t${at}`)));
  await turns();
  assert.equal(syncs.length, 1);
  syncs[0]?.done();
  await first;
  await turns();
  assert.equal(syncs.length, 2);
  syncs[1]?.done();
  await Promise.all(others);
  const [found] = (await commits.ask(read('t99'))) as [object | null];
  assert.notEqual(found, null);
  assert.equal(syncs.length, 2);
});

test('once the disk has failed nobody is told anything but that', async () => {
  const { commits, syncs } = setup();
  const written = commits.ask(submit('a'));
  await turns();
  const waiting = commits.ask(submit('b'));
  syncs[0]?.fail(new Error('EIO: i/o error, fdatasync'));
  for (const asked of [written, waiting, commits.ask(read('a')), commits.ask(submit('c'))]) {
    await assert.rejects(asked, { code: 'unavailable', message: /EIO/ });
  }
  await commits.idle();
});

test('a crowd goes in portions, so that nobody else waits for all of it', async () => {
  const { commits, syncs } = setup();
  const crowd = Array.from({ length: 40 }, (_, at) =>
    commits.ask({
      verb: 'submit',
      args: [Array.from({ length: 50 }, (__, n) => packTask(order(`t${at}-${n}`))), false],
    }),
  );
  for (let portion = 0; portion < 8; portion++) {
    await turns();
    assert.equal(syncs.length, portion + 1);
    syncs[portion]?.done();
  }
  await Promise.all(crowd);
  assert.equal(syncs.length, 8);
});
