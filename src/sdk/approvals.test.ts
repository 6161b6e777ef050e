import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatutaClient } from './client.ts';
import { farEnd } from './far-end.test.ts';

test('SAM-210 the client lists, shows, claims, approves and rejects what waits for a decision', async context => {
  const approval = { approval_id: 'w.a b', state: 'waiting' };
  const end = await farEnd(context, ({ path }) => ({
    json: path === '/api/v2/approvals' ? { approvals: [approval] } : approval,
  }));
  const client = new BatutaClient({ url: end.url });
  assert.deepEqual(await client.approvals.list({ state: 'rejected', limit: 5 }), [approval]);
  assert.deepEqual(await client.approvals.get('w.a b'), approval);
  await client.approvals.claim('w.a b');
  await client.approvals.approve('w.a b');
  await client.approvals.approve('w.a b', 'good');
  await client.approvals.reject('w.a b', 'say more');
  assert.deepEqual(
    end.asked.map(({ method, path, text }) => [method, path, text]),
    [
      ['GET', '/api/v2/approvals', ''],
      ['GET', '/api/v2/approvals/w.a%20b', ''],
      ['POST', '/api/v2/approvals/w.a%20b/claim', '{}'],
      ['POST', '/api/v2/approvals/w.a%20b/approve', '{}'],
      ['POST', '/api/v2/approvals/w.a%20b/approve', '{"comment":"good"}'],
      ['POST', '/api/v2/approvals/w.a%20b/reject', '{"comment":"say more"}'],
    ],
  );
});
