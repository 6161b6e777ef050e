// Messages through servers that are killed, and over two nodes of one PostgreSQL: what was acknowledged is there, wholly and once.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openNodes } from '../e2e/nodes.ts';
import { eventually } from '../eventually.ts';
import { postgresMissing } from '../postgres.ts';
import type { Loose } from '../serve.ts';
import { ADMIN_HEADERS, serverProcess } from '../server.ts';

const INBOX = 'coordinator:reader';
const KILLS = 5;

/** Asks a server; null where it was killed before it answered. */
async function ask(url: string, method: string, path: string, body?: object): Promise<Loose | null> {
  try {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: ADMIN_HEADERS,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(20_000),
    });
    const answer = await response.json();
    assert.ok(response.ok, `${method} ${path} answered ${response.status}: ${JSON.stringify(answer)}`);
    return answer;
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    return null;
  }
}

/** What was asked for by that message is a task, whole. */
async function requireTask(url: string, id: string): Promise<void> {
  const status = await ask(url, 'GET', `/api/v2/task-status/task-${id}`);
  assert.ok(status !== null && ['queued', 'pending'].includes(status.current_status.state), id);
}

const enlist = (url: string): Promise<Loose | null> =>
  ask(url, 'POST', '/api/v2/agents', { agent_id: 'reader', types: [], roles: ['army:coordinator'] });

function note(id: string): object {
  return {
    ...{ id, timestamp: new Date().toISOString(), from: 'supervisor', to: INBOX, type: 'coordination' },
    payload: { action: 'note', text: id },
  };
}

function request(id: string): object {
  return {
    ...{ id, timestamp: new Date().toISOString(), from: 'coordinator', to: 'writer', type: 'task_request' },
    payload: { task_id: `task-${id}`, task_type: 'write', description: 'about batons' },
  };
}

/** Reads what is in the inbox and acknowledges it; answers the ids and which acknowledgements were answered. */
async function drain(
  url: string,
): Promise<{ readonly read: readonly string[]; readonly acked: readonly string[] } | null> {
  const path = `/protocols/army/inbox/${INBOX}`;
  const answer = await ask(url, 'GET', `${path}?max=100&visibility=2`);
  if (answer === null) return null;
  const ids = answer.messages.map((one: Loose) => one.message.id);
  if (ids.length === 0) return { read: [], acked: [] };
  const items = answer.messages.map((one: Loose) => ({ delivery_id: one.delivery_id, outcome: 'ack' }));
  const settled = await ask(url, 'POST', `${path}/ack`, { items });
  const acked =
    settled === null ? [] : ids.filter((_: string, at: number) => settled.results[at].status === 'done');
  return { read: ids, acked };
}

test('TASK-64 ARMY-87 BLOG-78 NOOB-114 a server killed at any instant loses no message it took, makes each task it took wholly, and gives nothing again that was acknowledged', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'batuta-messages-'));
  const server = await serverProcess(dir, { BATUTA_SLOTS: '0' });
  t.after(async () => {
    await server.kill();
    rmSync(dir, { recursive: true, force: true });
  });
  await server.start();
  await enlist(server.url);
  const [accepted, orders] = [new Set<string>(), new Set<string>()];
  const [seen, acked] = [new Set<string>(), new Set<string>()];
  const readAfterAck: string[] = [];
  let made = 0;
  const send = async (): Promise<void> => {
    const batch = Array.from({ length: 20 }, () => `m${made++}`);
    const messages = batch.map((id, at) => (at % 4 === 0 ? request(id) : note(id)));
    const answer = await ask(server.url, 'POST', '/protocols/army/messages', messages);
    for (const { message_id: id, status } of answer?.results ?? []) {
      assert.equal(status, 'accepted');
      (batch.indexOf(id) % 4 === 0 ? orders : accepted).add(id);
    }
  };
  const read = async (): Promise<void> => {
    const drained = await drain(server.url);
    for (const id of drained?.read ?? []) {
      seen.add(id);
      if (acked.has(id)) readAfterAck.push(id);
    }
    for (const id of drained?.acked ?? []) acked.add(id);
  };
  for (let kill = 0; kill < KILLS; kill++) {
    let isOver = false;
    const before = accepted.size;
    const killing = (async () => {
      // A busy machine may take long until anything is answered.
      await eventually(() => accepted.size > before, 20_000);
      await new Promise(resolve => setTimeout(resolve, 250 + 170 * kill));
      await server.kill();
      isOver = true;
    })();
    const working = [send, send, read].map(async work => {
      while (!isOver) await work();
    });
    await Promise.all([killing, ...working]);
    await server.start();
  }
  const until = Date.now() + 30_000;
  while ([...accepted].some(id => !seen.has(id)) && Date.now() < until) {
    await read();
    await new Promise(resolve => setTimeout(resolve, 100));
  }
  assert.ok(accepted.size > 50 && orders.size > 10, `${accepted.size} messages and ${orders.size} tasks`);
  const lost = [...accepted].filter(id => !seen.has(id));
  assert.deepEqual(
    [lost, readAfterAck],
    [[], []],
    'what was accepted must be delivered, and not after its ack',
  );
  for (const id of orders) await requireTask(server.url, id);
});

test('TASK-68 ARMY-91 BLOG-82 NOOB-118 a poll at one node gets what was sent at another within a second, and two readers never hold the same delivery', {
  skip: postgresMissing,
}, async t => {
  const { nodes, stop } = await openNodes({ one: { BATUTA_SLOTS: '0' }, other: { BATUTA_SLOTS: '0' } });
  t.after(stop);
  const [one, other] = nodes;
  assert.ok(one !== undefined && other !== undefined);
  await enlist(one.url);
  await new Promise(resolve => setTimeout(resolve, 2_000));
  const took: number[] = [];
  for (let round = 0; round < 5; round++) {
    const waiting = ask(other.url, 'GET', `/protocols/army/inbox/${INBOX}?wait=20`);
    await new Promise(resolve => setTimeout(resolve, 300));
    const began = performance.now();
    await ask(one.url, 'POST', '/protocols/army/messages', note(`n${round}`));
    const [{ message, delivery_id }] = (await waiting)?.messages ?? [];
    took.push(performance.now() - began);
    assert.equal(message.id, `n${round}`);
    await ask(other.url, 'POST', `/protocols/army/inbox/${INBOX}/ack`, {
      items: [{ delivery_id, outcome: 'ack' }],
    });
  }
  assert.ok(Math.min(...took) < 1_000, `it took ${took.map(Math.round).join(', ')} ms`);
  const many = Array.from({ length: 300 }, (_, n) => note(`d${n}`));
  await ask(one.url, 'POST', '/protocols/army/messages', many);
  const seen: string[] = [];
  await Promise.all(
    [one, other, one, other].map(async ({ url }) => {
      for (;;) {
        const drained = await drain(url);
        if (drained === null || drained.read.length === 0) return;
        seen.push(...drained.read);
      }
    }),
  );
  assert.equal(new Set(seen).size, seen.length, 'no delivery may be held twice');
  assert.equal(seen.length, many.length);
});
