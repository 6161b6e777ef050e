// The balancer before real servers on one PostgreSQL while one after the other is replaced: callers, who retry nothing, notice nothing.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { freshDatabase, postgresMissing } from '../test/postgres.ts';
import { ADMIN_HEADERS, freePort, type ServerProcess, serverProcess } from '../test/server.ts';
import { missing, pathOf } from './reading.ts';

const skip = postgresMissing || missing('haproxy', ['-v']);
const KEY = Buffer.alloc(32, 3).toString('base64');
const PAUSE_MS = 15;

/** Two servers on one database and the balancer before them. */
async function setup(
  t: TestContext,
): Promise<{ readonly url: string; readonly nodes: readonly ServerProcess[] }> {
  const { url: database, drop } = await freshDatabase();
  const folder = mkdtempSync(join(tmpdir(), 'batuta-rolling-'));
  const nodes = await Promise.all(
    ['one', 'two'].map(name =>
      serverProcess(join(folder, name), {
        BATUTA_DATABASE_URL: database,
        BATUTA_DATABASE_CONNECTIONS: '5',
        BATUTA_MASTER_KEY: KEY,
        BATUTA_AUDIT_KEY: KEY,
        BATUTA_SERVER_ID: name,
        BATUTA_SLOTS: '0',
      }),
    ),
  );
  t.after(async () => {
    await Promise.all(nodes.map(node => node.kill()));
    rmSync(folder, { recursive: true });
    await drop();
  });
  await Promise.all(nodes.map(node => node.start()));
  const port = await freePort();
  const [one, two] = nodes.map(node => new URL(node.url).host);
  const env = { PATH: process.env.PATH ?? '', BALANCER_BIND: `127.0.0.1:${port}` };
  const balancer = spawn('haproxy', ['-db', '-f', pathOf('haproxy.cfg')], {
    env: { ...env, BATUTA_NODE_1: one, BATUTA_NODE_2: two },
    stdio: 'ignore',
  });
  t.after(async () => {
    if (balancer.exitCode !== null) return;
    const gone = once(balancer, 'exit');
    balancer.kill('SIGKILL');
    await gone;
  });
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; tries < 200; tries++) {
    if ((await fetch(`${url}/api/v2/health/ready`).catch(() => null))?.status === 200) return { url, nodes };
    await pause(25);
  }
  return assert.fail('nobody answers behind the balancer');
}

/** A caller that writes and reads back, over and over, until it is told to stop; answers what was refused. */
async function call(
  url: string,
  name: string,
  until: AbortSignal,
): Promise<{ asked: number; refused: string[] }> {
  const refused: string[] = [];
  let asked = 0;
  const ask = async (method: string, path: string, expected: number, body?: object): Promise<void> => {
    asked += 1;
    const options = {
      method,
      headers: ADMIN_HEADERS,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    };
    const answer = await fetch(`${url}${path}`, options).catch(error => String(error.cause ?? error));
    if (typeof answer === 'string') refused.push(`${method} ${path}: ${answer}`);
    else if (answer.status !== expected)
      refused.push(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    else await answer.body?.cancel();
  };
  while (!until.aborted) {
    const agent = `${name}-${asked}`;
    await ask('POST', '/api/v2/work', 200, {
      agent_id: agent,
      types: ['custom:none'],
      slots: 1,
      wait_seconds: 0.05,
    });
    await ask('GET', '/api/v2/agents', 200);
    await pause(PAUSE_MS);
  }
  return { asked, refused };
}

test('SAM-227 while every node is replaced, one after the other, no request behind the balancer is refused', {
  skip,
}, async t => {
  const { url, nodes } = await setup(t);
  const over = new AbortController();
  const callers = ['a', 'b', 'c'].map(name => call(url, name, over.signal));
  for (const node of nodes) {
    await pause(500);
    assert.equal(await node.stop(), 0, 'SAM-226 a node that was asked to stop ends with 0');
    await node.start();
    // As whoever rolls out waits for the balancer to see that it is ready.
    await pause(1_500);
  }
  over.abort();
  const told = await Promise.all(callers);
  assert.deepEqual(
    told.flatMap(({ refused }) => refused),
    [],
  );
  assert.ok(
    told.every(({ asked }) => asked > 20),
    'callers went on all the while',
  );
});
