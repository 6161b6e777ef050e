// A server that is killed, as a power cut would, while the built-in agents are at work, and started again.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { AGENT_PERMISSIONS, type Correspondent, correspondent } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { ADMIN, serverProcess } from '../../../test/server.ts';
import { message } from './bench.test.ts';

async function setup(t: { after(work: () => unknown): void }) {
  const dir = mkdtempSync(join(tmpdir(), 'batuta-blog-'));
  const server = await serverProcess(dir, { BATUTA_RATE_LIMITS: 'off', BATUTA_LEASE_MS: '2000' });
  t.after(async () => {
    await server.kill();
    rmSync(dir, { recursive: true, force: true });
  });
  await server.start();
  const bearer = async (id: string, permissions: readonly string[]): Promise<Correspondent> => {
    const token = await new SignJWT({ agent_id: id, permissions })
      .setProtectedHeader({ alg: 'HS256', kid: 'configured' })
      .setIssuedAt()
      .setExpirationTime('10m')
      .sign(new TextEncoder().encode(ADMIN.jwt));
    return correspondent(server.url, { authorization: `Bearer ${token}` });
  };
  return {
    server,
    admin: correspondent(server.url, { 'x-api-key': ADMIN.key, 'x-api-secret': ADMIN.secret }),
    coder: await bearer('coder', AGENT_PERMISSIONS),
    judge: await bearer('judge', ['approval:decide']),
  };
}

/** Takes the next task the coder is given, and answers it. */
async function work(coder: Correspondent, id: string, payload: object): Promise<Loose> {
  const [delivery] = await coder.read('blog', 'coder', { wait: 30 });
  assert.ok(delivery !== undefined, `the coder was given nothing before ${id}`);
  await coder.settle('blog', 'coder', delivery.delivery_id);
  const { status, body } = await coder.send(
    'blog',
    message(id, {
      from: 'coder',
      to: 'executor',
      type: 'response',
      correlationId: delivery.message.id,
      payload,
    }),
  );
  assert.equal(status, 202, JSON.stringify(body));
  return delivery.message.payload;
}

test('BLOG-20 killed between two steps, a flow goes on at the one that is not done', async t => {
  const { server, admin, coder } = await setup(t);
  const registered = { agent_id: 'coder', types: ['custom:coder'], capacity: { slots: 5 } };
  assert.equal((await admin.ask('POST', '/api/v2/agents', registered)).status, 200);
  const steps = [
    { skill: 'generate_content', params: { topic: 'Tea' } },
    { skill: 'moderate_content', params: {} },
  ];
  const asked = message('flow', { from: 'reviewer', to: 'executor', payload: { steps } });
  assert.equal((await admin.send('blog', asked)).status, 403);
  await admin.ask('POST', '/api/v2/agents', { agent_id: 'ops', types: [], capacity: { slots: 1 } });
  assert.equal((await admin.send('blog', { ...asked, from: 'ops' })).status, 202);
  const first = await work(coder, 'done-1', { title: 'Tea', content: 'Tea is a drink.' });
  assert.equal(first.skill, 'generate_content');
  await server.kill();
  await server.start();
  const second = await work(coder, 'done-2', { flagged: false });
  assert.deepEqual([second.skill, second.params], ['moderate_content', { content: 'Tea is a drink.' }]);
  const [told] = await admin.read('blog', 'ops', { wait: 30 });
  assert.equal(told?.message.type, 'response', JSON.stringify(told));
  assert.deepEqual(
    told?.message.payload.steps.map((step: Loose) => step.skill),
    ['generate_content', 'moderate_content'],
  );
  const repeated = await admin.send('blog', { ...asked, from: 'ops' });
  assert.deepEqual([repeated.status, repeated.body.status], [200, 'duplicate']);
});

test('BLOG-54 BLOG-59 killed while a person is awaited, a validation still waits and then ends', async t => {
  const { server, admin, judge } = await setup(t);
  await admin.ask('PUT', '/protocols/blog/settings', { final_approval: 'person' });
  const steps = [
    { id: 'schema-validation', name: 'Schema', order: 1, required: true },
    { id: 'final-approval', name: 'Approval', order: 2, required: true },
  ];
  const payload = { contentId: 'c', content: { title: 'T', content: 'Words.' }, steps };
  assert.equal((await admin.send('blog', message('check', { to: 'reviewer', payload }))).status, 202);
  const waiting = async (): Promise<Loose> => {
    for (;;) {
      const { body } = await admin.ask('GET', '/api/v2/approvals');
      if (body.approvals.length > 0) return body.approvals[0];
    }
  };
  const { approval_id: before } = await waiting();
  await server.kill();
  await server.start();
  const { approval_id: after } = await waiting();
  assert.equal(after, before);
  const decided = await judge.ask('POST', `/api/v2/approvals/${after}/approve`, {});
  assert.equal(decided.status, 200, JSON.stringify(decided.body));
  const [told] = await admin.read('blog', 'executor', { wait: 30 });
  assert.deepEqual(
    [told?.message.payload.result.approved, told?.message.payload.steps.length],
    [true, 2],
    JSON.stringify(told),
  );
});
