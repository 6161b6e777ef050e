import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { silentLog } from '../runtime/log.ts';
import type { AuditEntry, DocumentWrite, NewAuditEntry } from '../store/rows.ts';
import { AuditHeads } from './audit-heads.ts';
import { ACME, SECOND, setup } from './fixture.test.ts';

const ENTRY: NewAuditEntry = { tenant: ACME, action: 'test.done', principal: 'key:x', detail: {} };

async function setUp() {
  const { clock, store, guards, node } = await setup();
  const write = async (count: number) => {
    for (let n = 0; n < count; n++) guards.audit.record(ENTRY);
    await guards.audit.flush();
    clock.pass(2 * SECOND);
    await guards.auditHeads.move();
  };
  const entries = () => store.audit({ tenant: ACME, limit: 10_000 });
  return { clock, store, guards, node, write, entries };
}

const linkOf = (entry: AuditEntry | undefined) => entry && { sequence: entry.sequence, hash: entry.hash };

test('SAM-205 the head is where the chain of its tenant ends, on every node', async () => {
  const { guards, node, write, entries } = await setUp();
  assert.equal(await guards.auditHeads.read(ACME), null);
  await write(3);
  assert.deepEqual(await guards.auditHeads.read(ACME), linkOf((await entries()).at(-1)));
  await write(1_500);
  const last = (await entries()).at(-1);
  assert.equal(last?.sequence, 1_503);
  assert.deepEqual(await (await node()).auditHeads.read(ACME), linkOf(last));
  assert.equal(await guards.auditHeads.read(DEFAULT_TENANT), null);
});

test('SAM-205 stopping leaves the head where the chain ends', async () => {
  const { guards, entries, node } = await setUp();
  guards.audit.record(ENTRY);
  const reader = await node();
  await guards.stop();
  assert.deepEqual(await reader.auditHeads.read(ACME), linkOf((await entries()).at(-1)));
});

test('SAM-205 the head stays where it is when the chain no longer leads there', async () => {
  const { clock, store, write, entries } = await setUp();
  await write(3);
  const kept = await entries();
  const writes: DocumentWrite[] = [];
  // The chain was cut after its second entry and grew again.
  const forged = [
    ...kept.slice(0, 2),
    { ...kept[2], hash: 'other' },
    { ...kept[2], sequence: 4 },
  ] as AuditEntry[];
  const heads = new AuditHeads(silentLog, clock, {
    audit: async ({ afterSequence = 0, limit }) =>
      forged.filter(({ sequence }) => sequence > afterSequence).slice(0, limit),
    documents: query => store.documents(query),
    putDocuments: async list => {
      writes.push(...list);
      return [];
    },
  });
  heads.grow([ACME]);
  await heads.move();
  assert.deepEqual(writes, []);
  assert.deepEqual(await heads.read(ACME), linkOf(kept[2]));
});

test('a head that could not be kept moves as soon as the store is back', async () => {
  const { clock, store, guards } = await setUp();
  let broken = true;
  const heads = new AuditHeads(silentLog, clock, {
    audit: query => store.audit(query),
    documents: query => (broken ? Promise.reject(new Error('away')) : store.documents(query)),
    putDocuments: writes => store.putDocuments(writes),
  });
  await store.appendAudit([ENTRY]);
  heads.grow([ACME]);
  await heads.move();
  assert.equal(await guards.auditHeads.read(ACME), null);
  broken = false;
  clock.pass(2 * SECOND);
  await heads.move();
  assert.equal((await guards.auditHeads.read(ACME))?.sequence, 1);
});
