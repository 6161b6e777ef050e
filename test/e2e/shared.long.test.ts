// Two nodes on one PostgreSQL: what they must know of each other that no task tells.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { eventually } from '../eventually.ts';
import { postgresMissing } from '../postgres.ts';
import type { Loose } from '../serve.ts';
import { ADMIN_HEADERS, type ServerProcess } from '../server.ts';
import { openMailbox } from './mailbox.ts';
import { ask, type Nodes, openNodes } from './nodes.ts';

let running: Nodes | null = null;

function pair(): readonly [ServerProcess, ServerProcess] {
  const [a, b] = running?.nodes ?? [];
  if (a === undefined || b === undefined) assert.fail('there are no two nodes');
  return [a, b];
}

async function upload(node: ServerProcess, name: string, bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const answer = await fetch(`${node.url}/api/v2/artifacts?name=${name}`, {
    method: 'POST',
    headers: { ...ADMIN_HEADERS, 'content-type': 'application/octet-stream' },
    body: bytes,
  });
  assert.equal(answer.status, 201);
  const { artifact_id: id } = (await answer.json()) as { artifact_id: string };
  return id;
}

async function download(node: ServerProcess, id: string): Promise<Buffer> {
  const answer = await fetch(`${node.url}/api/v2/artifacts/${id}`, { headers: ADMIN_HEADERS });
  assert.equal(answer.status, 200);
  return Buffer.from(await answer.arrayBuffer());
}

async function breakerAt(node: ServerProcess, endpoint: string): Promise<string | undefined> {
  const { endpoints } = await ask(node, 'GET', '/api/v2/deliveries/endpoints');
  return endpoints.find((one: Loose) => one.endpoint === endpoint)?.breaker;
}

suite('two nodes on one PostgreSQL', { skip: postgresMissing }, () => {
  before(async () => {
    running = await openNodes({ 'node-1': {}, 'node-2': {} });
  });

  after(() => running?.stop());

  test('SAM-91 a breaker that opens at one node is open at the other, and nobody sends', async t => {
    const [a, b] = pair();
    const mailbox = await openMailbox(() => ({ status: 500 }));
    t.after(() => mailbox.close());
    const submit = (number: number): Promise<Loose> =>
      ask(a, 'POST', '/api/v2/execute-task', {
        task_id: `told-${number}`,
        task_type: 'code_execution',
        description: 'tells somebody who does not listen',
        orchestrator_info: { agent_id: 'tester', timestamp: new Date().toISOString() },
        task_data: { language: 'javascript', code: '1' },
        notification_config: { webhook_url: mailbox.url, notification_events: ['task_completed'] },
      });
    // While the other is paused, all failures are this one's; then it has to hear of them.
    process.kill(b.pid ?? assert.fail(), 'SIGSTOP');
    for (let number = 1; number <= 10; number++) await submit(number);
    await eventually(async () => (await breakerAt(a, mailbox.url)) === 'open', 20_000);
    process.kill(b.pid ?? assert.fail(), 'SIGCONT');
    await eventually(async () => (await breakerAt(b, mailbox.url)) === 'open', 5_000);
    const before = mailbox.letters.length;
    await submit(11);
    await eventually(
      async () => (await ask(b, 'GET', '/api/v2/task-status/told-11')).current_status.outcome === 'completed',
      10_000,
    );
    await new Promise(resolve => setTimeout(resolve, 1_500));
    assert.equal(mailbox.letters.length, before);
  });

  test('SAM-71 an artifact uploaded at one node is read at the other, also when the first is dead', async () => {
    const [a, b] = pair();
    const bytes = new Uint8Array(randomBytes(700_000));
    const id = await upload(a, 'data.bin', bytes);
    assert.equal((await download(b, id)).equals(bytes), true);
    const unfinished = new AbortController();
    const half = fetch(`${a.url}/api/v2/artifacts?name=half`, {
      method: 'POST',
      headers: { ...ADMIN_HEADERS, 'content-type': 'application/octet-stream' },
      body: new ReadableStream({ start: stream => stream.enqueue(new Uint8Array(600_000)) }),
      signal: unfinished.signal,
      ...{ duplex: 'half' },
    }).catch(() => null);
    const last = await upload(a, 'last.bin', bytes.subarray(1));
    await a.kill();
    unfinished.abort();
    await half;
    assert.equal((await download(b, id)).equals(bytes), true);
    assert.equal((await download(b, last)).equals(bytes.subarray(1)), true);
    const { artifacts } = await ask(b, 'GET', '/api/v2/artifacts');
    assert.deepEqual(
      artifacts.map(({ name }: Loose) => name),
      ['data.bin', 'last.bin'],
    );
    for (const node of ['node-1', 'node-2'])
      assert.equal(readdirSync(join(running?.dir ?? '', node)).includes('blobs'), false);
  });
});
