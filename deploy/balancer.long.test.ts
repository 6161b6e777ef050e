// The balancer: that HAProxy takes its configuration, and what it then does between callers and nodes that come and go.

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../test/server.ts';
import { missing, pathOf } from './reading.ts';

const skip = missing('haproxy', ['-v']);
const CONFIG = pathOf('haproxy.cfg');

interface Node {
  readonly address: string;
  ready: boolean;
  readonly served: string[];
  readonly streams: ServerResponse[];
  close(): Promise<void>;
}

/** A far end that says whether it is ready, streams at `/stream`, and answers everything else with its name. */
async function node(name: string): Promise<Node> {
  const made: Node = { address: '', ready: true, served: [], streams: [], close: async () => {} };
  const server = createServer((request, response) => {
    if (request.url === '/api/v2/health/ready') {
      response.writeHead(made.ready ? 200 : 503).end();
      return;
    }
    made.served.push(`${request.method} ${request.url}`);
    if (request.url !== '/stream') {
      response.end(name);
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`data: ${name}\n\n`);
    made.streams.push(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return Object.assign(made, {
    address: `127.0.0.1:${port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  });
}

async function setup(t: TestContext) {
  const nodes = [await node('one'), await node('two')] as const;
  const port = await freePort();
  const env = {
    PATH: process.env.PATH ?? '',
    BALANCER_BIND: `127.0.0.1:${port}`,
    BATUTA_NODE_1: nodes[0].address,
    BATUTA_NODE_2: nodes[1].address,
  };
  const balancer: ChildProcess = spawn('haproxy', ['-db', '-f', CONFIG], { env, stdio: 'ignore' });
  t.after(async () => {
    if (balancer.exitCode === null) {
      const gone = once(balancer, 'exit');
      balancer.kill('SIGKILL');
      await gone;
    }
    for (const one of nodes) await one.close();
  });
  const url = `http://127.0.0.1:${port}`;
  const post = async (path: string): Promise<string> => {
    const answer = await fetch(`${url}${path}`, { method: 'POST', body: '{}' });
    assert.equal(answer.status, 200, path);
    return answer.text();
  };
  for (let tries = 0; tries < 200; tries++) {
    const answer = await fetch(`${url}/up`).catch(() => null);
    if (answer?.status === 200) return { nodes, url, post };
    await pause(25);
  }
  return assert.fail('HAProxy did not start');
}

/** Asks until all answers of a round are this node's. */
async function until(name: string, post: (path: string) => Promise<string>): Promise<void> {
  for (let tries = 0; tries < 80; tries++) {
    const answers = await Promise.all(Array.from({ length: 6 }, (_, at) => post(`/settling/${tries}/${at}`)));
    if (answers.every(answer => answer === name)) return;
    await pause(50);
  }
  assert.fail(`${name} does not get everything`);
}

describe('the balancer', { skip }, () => {
  test('HAProxy takes the configuration without a word, and refuses one that is put wrong', () => {
    const env = {
      PATH: process.env.PATH ?? '',
      BALANCER_BIND: '127.0.0.1:1',
      BATUTA_NODE_1: '127.0.0.1:2',
      BATUTA_NODE_2: '127.0.0.1:3',
    };
    const said = execFileSync('haproxy', ['-c', '-f', CONFIG], {
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    assert.doesNotMatch(said, /WARNING|ALERT/);
    const { status } = spawnSync('haproxy', ['-c', '-f', CONFIG], {
      env: { PATH: env.PATH, BALANCER_BIND: 'nowhere' },
    });
    assert.notEqual(status, 0);
  });

  test('a node that drains gets nothing new and keeps its streams, whose events pass at once (SAM-226)', async t => {
    const { nodes, url, post } = await setup(t);
    const streams = await Promise.all([fetch(`${url}/stream`), fetch(`${url}/stream`)]);
    assert.deepEqual(
      nodes.map(({ streams: held }) => held.length),
      [1, 1],
      'streams are spread',
    );
    nodes[0].ready = false;
    await until('two', post);
    const before = nodes[0].served.length;
    for (let at = 0; at < 10; at++) assert.equal(await post(`/new/${at}`), 'two');
    assert.equal(nodes[0].served.length, before);
    nodes[0].streams[0]?.write('data: still here\n\n');
    const texts = streams.map(({ body }) => body?.pipeThrough(new TextDecoderStream()).getReader());
    const heard = async (reader: (typeof texts)[number]): Promise<string> =>
      (await reader?.read())?.value ?? '';
    const first = await Promise.all(texts.map(heard));
    const drained = first.findIndex(text => text.includes('one'));
    const rest = first[drained]?.includes('still') === true ? first[drained] : await heard(texts[drained]);
    assert.match(rest ?? '', /still here/);
    await Promise.all(texts.map(reader => reader?.cancel()));
    nodes[0].ready = true;
    for (let tries = 0; nodes[0].served.length === before && tries < 100; tries++) {
      await post(`/back/${tries}`);
      await pause(50);
    }
    assert.ok(nodes[0].served.length > before, 'who is ready again is sent work again');
  });

  test('a node that vanishes fails no request, and none is sent twice (SAM-227)', async t => {
    const { nodes, post } = await setup(t);
    for (let at = 0; at < 6; at++) await post(`/warm/${at}`);
    await nodes[0].close();
    const paths = Array.from({ length: 60 }, (_, at) => `/task/${at}`);
    for (const path of paths) await post(path);
    const served = nodes.flatMap(one => one.served).filter(asked => asked.startsWith('POST /task/'));
    assert.deepEqual(served.toSorted(), paths.map(path => `POST ${path}`).toSorted());
    assert.ok(nodes[1].served.length >= paths.length);
  });
});
