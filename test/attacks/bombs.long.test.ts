// Small things that become large: each is thrown at every type of task that could swallow it, through a server that goes on serving.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, suite, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { withoutBrowser } from '../../src/executors/web/browser.test.ts';
import { submit, until } from '../e2e/crew.ts';
import { running } from '../e2e/running.ts';
import type { Loose } from '../serve.ts';

const MIB = 1_048_576;
/** 300 MiB of spaces, in some 300 kB. */
const BOMB = gzipSync(Buffer.alloc(300 * MIB, ' '), { level: 9 });

const far = createServer((request, response) => {
  const told = request.url ?? '';
  if (told.startsWith('/robots')) response.writeHead(404).end();
  else if (told === '/text')
    response.writeHead(200, { 'content-type': 'application/json' }).end(`"${'a'.repeat(60)}!"`);
  else {
    const type = told === '/page' ? 'text/html' : 'application/json';
    const coding: object = told === '/file' ? {} : { 'content-encoding': 'gzip' };
    response.writeHead(200, { 'content-type': type, ...coding }).end(BOMB);
  }
});
far.listen(0, '127.0.0.1');
await once(far, 'listening');
const url = `http://127.0.0.1:${(far.address() as AddressInfo).port}`;
const house = await running({ BATUTA_MODEL_URL: `${url}/v1`, BATUTA_MODEL: 'writer' });
const { admin } = house;
after(async () => {
  await house.stop();
  far.closeAllConnections();
  far.close();
});

let made = 0;

/** The code a task failed with. */
async function failureOf(
  task_type: string,
  task_data: object,
  resource_limits: object = {},
): Promise<string> {
  const { execution_details: details, current_status: now } = await endOf(
    task_type,
    task_data,
    resource_limits,
  );
  assert.equal(now.outcome, 'failed', JSON.stringify(details));
  return details.error_details.code;
}

/** How a task ended. The server is asked how it is meanwhile, and must say so in a moment. */
async function endOf(task_type: string, task_data: object, resource_limits: object): Promise<Loose> {
  const task_id = `bomb-${++made}`;
  await submit(admin, {
    task_id,
    task_type,
    description: 'a bomb',
    orchestrator_info: { agent_id: 'mallory', timestamp: '2026-01-01T00:00:00Z' },
    task_data,
    timeout: 60,
    execution_config: { max_retries: 0, resource_limits },
  });
  let isOver = false;
  const ended = until(admin, task_id, (one: Loose) => one.current_status.outcome !== null).finally(() => {
    isOver = true;
  });
  while (!isOver) {
    const asked = performance.now();
    await admin.get('/api/v2/health');
    assert.ok(performance.now() - asked < 3_000, `health took ${performance.now() - asked} ms`);
  }
  return ended;
}

suite('what unpacks to more than it may', () => {
  test('SAM-141 an answer a program fetches is its error, not its memory', async () => {
    const code = await failureOf('code_execution', {
      language: 'javascript',
      code: `return (await (await fetch('${url}/json')).text()).length`,
      network: { allow: ['127.0.0.1'] },
    });
    assert.equal(code, 'EXECUTION_ERROR');
  });

  test('SAM-118 a packed source and an endless result end a query at its disk', async () => {
    const asking = { raw: BOMB, headers: { 'content-type': 'application/gzip' } };
    const { body: file } = await admin.ask('POST', '/api/v2/artifacts?name=bomb.csv.gz', asking);
    const packed = (source: object): object => ({
      sources: { t: { ...source, format: 'csv', options: { compression: 'gzip' } } },
      sql: 'FROM t',
    });
    const limits = { disk_mb: 50 };
    const stored = packed({ artifact_id: file.artifact_id });
    assert.equal(await failureOf('data_processing', stored, limits), 'RESOURCE_EXHAUSTED');
    const fetched = packed({ url: `${url}/file` });
    assert.equal(await failureOf('data_processing', fetched, limits), 'RESOURCE_EXHAUSTED');
    const endless = {
      sources: { t: { inline: [{ n: 1 }] } },
      sql: "SELECT repeat('x', 1000) AS x FROM t, range(100000000)",
      outputs: [{ name: 'all.csv', format: 'csv' }],
    };
    assert.equal(await failureOf('data_processing', endless, limits), 'RESOURCE_EXHAUSTED');
  });

  test('SAM-118 an answer of an API ends its request at its size, and its task at its disk', async () => {
    const request = { requests: [{ name: 'one', url: `${url}/json` }] };
    assert.equal(await failureOf('api_integration', request), 'PAYLOAD_TOO_LARGE');
    assert.equal(await failureOf('api_integration', request, { disk_mb: 20 }), 'RESOURCE_EXHAUSTED');
  });

  test('SAM-148 a page is too large, read as it is', async () => {
    const page = { target_url: `${url}/page`, extraction_rules: { title: 'h1' }, engine: 'http' };
    assert.equal(await failureOf('web_automation', page), 'PAYLOAD_TOO_LARGE');
  });

  test('SAM-148 SAM-118 a page is too large, takes too much memory or too long in a browser', {
    skip: withoutBrowser,
  }, async () => {
    const options = { page_timeout: 4 };
    const page = { target_url: `${url}/page`, extraction_rules: { title: 'h1' }, engine: 'browser', options };
    const ended = await endOf('web_automation', page, { memory_mb: 600 });
    const { error_details: error, output } = ended.execution_details;
    // Where the machine is so slow that little of it has come when its time is up, what has come is read, and it is nothing.
    if (ended.current_status.outcome === 'completed') assert.deepEqual(output.items, []);
    else assert.match(error.code, /^(?:PAYLOAD_TOO_LARGE|RESOURCE_EXHAUSTED|GATEWAY_TIMEOUT)$/);
  });

  test('SAM-155 an answer of a model is too large', async () => {
    const code = await failureOf('content_generation', { prompt: 'write', stream: false });
    assert.equal(code, 'PAYLOAD_TOO_LARGE');
  });

  test('SAM-170 a monitored page is read no further than a check needs, and is what it is', async () => {
    const check = { type: 'http', name: 'bomb', url: `${url}/page`, expect: { contains: 'never there' } };
    const code = await failureOf('monitoring_task', { checks: [check], fail_on: 'warning' });
    assert.equal(code, 'EXECUTION_ERROR');
  });
});

suite('what never ends', () => {
  test('SAM-160 a pattern in the schema of an answer is ended, and its request fails', async () => {
    const schema = { type: 'string', pattern: '^(a+)+$' };
    const requests = [{ name: 'one', url: `${url}/text`, expect: { schema } }];
    assert.equal(await failureOf('api_integration', { requests }), 'EXECUTION_ERROR');
  });
});
