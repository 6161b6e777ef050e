import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storm } from './storm.ts';

test('SAM-47 SAM-87 killed again and again under load, the server loses nothing, applies nothing twice and tells of everything', async () => {
  const report = await storm(3);
  const { kills, acknowledged, attempts, webhooks, ...faults } = report;
  assert.ok(
    acknowledged >= 50 && attempts >= acknowledged && webhooks >= acknowledged,
    JSON.stringify(report),
  );
  assert.equal(kills, 3);
  for (const [fault, count] of Object.entries(faults))
    assert.equal(count, 0, `${fault}: ${JSON.stringify(report)}`);
});
