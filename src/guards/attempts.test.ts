import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { silentLog } from '../runtime/log.ts';
import type { NewAuditEntry } from '../store/rows.ts';
import { type Attempt, AttemptLog } from './attempts.ts';
import { AuditWriter } from './audit.ts';
import { StillClock } from './fixture.test.ts';

const ATTEMPT: Attempt = {
  tenant: DEFAULT_TENANT,
  action: 'auth.refused',
  principal: 'unknown',
  method: 'api_key',
  address: '203.0.113.1',
  reason: 'key_unknown',
  requestId: 'r',
};

test('SAM-8 a flood from ever new addresses is counted in full with bounded memory', async () => {
  const kept: NewAuditEntry[] = [];
  const writer = new AuditWriter(silentLog, new StillClock(), {
    appendAudit: async entries => void kept.push(...entries),
  });
  const attempts = new AttemptLog(writer);
  for (let at = 0; at < 12_000; at += 1) attempts.record({ ...ATTEMPT, address: `address ${at}` });
  await writer.flush();
  const counts = kept.map(({ detail }) => Number(detail.count));
  assert.equal(
    counts.reduce((total, count) => total + count),
    12_000,
  );
  assert.ok(kept.length <= 10_010, `${kept.length} entries`);
  assert.ok(kept.some(({ detail }) => detail.address === 'many'));
});
