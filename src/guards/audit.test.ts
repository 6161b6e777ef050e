import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { silentLog } from '../runtime/log.ts';
import type { AuditEntry, NewAuditEntry } from '../store/rows.ts';
import { AuditWriter, verifyChain } from './audit.ts';
import { AUDIT_KEY, SECOND, StillClock, setup } from './fixture.test.ts';

const ENTRY: NewAuditEntry = {
  tenant: DEFAULT_TENANT,
  action: 'test.done',
  principal: 'key:x',
  detail: { n: 0 },
};

async function chain(length: number): Promise<readonly AuditEntry[]> {
  const { guards, audit } = await setup();
  for (let n = 1; n <= length; n += 1) guards.audit.record({ ...ENTRY, detail: { n } });
  return audit();
}

function writer(appendAudit: (entries: readonly NewAuditEntry[]) => Promise<void>) {
  const clock = new StillClock();
  const observed: NewAuditEntry[] = [];
  const made = new AuditWriter(silentLog, clock, { appendAudit }, { observe: entry => observed.push(entry) });
  return { clock, writer: made, observed };
}

test('SAM-205 what is recorded is written in order and verifies as a chain', async () => {
  const entries = await chain(1_200);
  assert.deepEqual(
    entries.map(({ detail }) => detail.n),
    Array.from({ length: 1_200 }, (_, at) => at + 1),
  );
  const verdict = verifyChain(entries, AUDIT_KEY);
  const last = entries.at(-1);
  assert.deepEqual(verdict, { intact: true, head: { sequence: 1_200, hash: last?.hash } });
  const half = verifyChain(entries.slice(0, 600), AUDIT_KEY);
  assert.ok(half.intact);
  assert.deepEqual(verifyChain(entries.slice(600), AUDIT_KEY, { after: half.head }), verdict);
});

test('SAM-205 a changed, removed, moved or forged entry shows, and so does another key', async () => {
  const entries = await chain(5);
  const [one, two, three, four, five] = entries as [
    AuditEntry,
    AuditEntry,
    AuditEntry,
    AuditEntry,
    AuditEntry,
  ];
  const altered = { intact: false, sequence: 3, fault: 'altered' };
  assert.deepEqual(verifyChain([one, two, { ...three, detail: { n: 9 } }, four, five], AUDIT_KEY), altered);
  assert.deepEqual(verifyChain([one, two, { ...three, principal: 'key:y' }, four, five], AUDIT_KEY), altered);
  assert.deepEqual(verifyChain([one, two, { ...three, at: 0 }, four, five], AUDIT_KEY), altered);
  const missing = { intact: false, sequence: 3, fault: 'missing' };
  assert.deepEqual(verifyChain([one, two, four, five], AUDIT_KEY), missing);
  assert.deepEqual(verifyChain([one, two, four, three, five], AUDIT_KEY), missing);
  assert.deepEqual(verifyChain([one, two, { ...four, sequence: 3 }], AUDIT_KEY), altered);
  assert.deepEqual(verifyChain(entries.slice(1), AUDIT_KEY), {
    intact: false,
    sequence: 1,
    fault: 'missing',
  });
  assert.equal(verifyChain(entries, 'another key').intact, false);
});

test('SAM-205 entries cut off the end show where the head is known', async () => {
  const entries = await chain(5);
  const verdict = verifyChain(entries, AUDIT_KEY);
  assert.ok(verdict.intact);
  const { head } = verdict;
  assert.deepEqual(verifyChain(entries.slice(0, 3), AUDIT_KEY, { head }), {
    intact: false,
    sequence: 4,
    fault: 'missing',
  });
  assert.equal(verifyChain(entries, AUDIT_KEY, { head }).intact, true);
  assert.deepEqual(verifyChain(entries, AUDIT_KEY, { head: { ...head, hash: 'other' } }), {
    intact: false,
    sequence: 5,
    fault: 'altered',
  });
});

test('SAM-205 secrets are masked before an entry is kept or told to anybody', async () => {
  const kept: NewAuditEntry[] = [];
  const { writer: made, observed } = writer(async entries => void kept.push(...entries));
  made.record({ ...ENTRY, detail: { password: 'hunter2', header: `Bearer ${'x1'.repeat(20)}`, n: 1 } });
  await made.flush();
  assert.deepEqual(kept[0]?.detail, { password: '***', header: 'Bearer ***', n: 1 });
  assert.deepEqual(observed, kept);
});

test('SAM-205 while the store fails, entries wait in order, and are written when it is back', async () => {
  let isDown = true;
  const kept: unknown[] = [];
  const { writer: made, clock } = writer(async entries => {
    if (isDown) throw new Error('down');
    kept.push(...entries.map(({ detail }) => detail.n));
  });
  for (const n of [1, 2]) made.record({ ...ENTRY, detail: { n } });
  await made.flush();
  made.record({ ...ENTRY, detail: { n: 3 } });
  assert.deepEqual(kept, []);
  isDown = false;
  clock.pass(2 * SECOND);
  await made.stop();
  assert.deepEqual(kept, [1, 2, 3]);
});

test('SAM-205 memory is bounded while the store fails', async () => {
  let isDown = true;
  const kept: NewAuditEntry[] = [];
  const { writer: made } = writer(async entries => {
    if (isDown) throw new Error('down');
    kept.push(...entries);
  });
  for (let n = 0; n < 50_100; n += 1) made.record(ENTRY);
  isDown = false;
  await made.flush();
  assert.equal(kept.length, 50_000);
});
