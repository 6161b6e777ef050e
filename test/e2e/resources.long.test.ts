// What a task of each type may use, and how that is told: through a server as it is started in earnest.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, suite, test } from 'node:test';
import { withoutBrowser } from '../../src/executors/web/browser.test.ts';
import type { Loose } from '../serve.ts';
import { statusOf, submit } from './crew.ts';
import { running } from './running.ts';

const HALF_A_MEGABYTE = 500_000;

/** A far end: a large list, a page that brings it, and a model that writes as much. */
const far = createServer((request, response) => {
  if (request.method === 'POST') return write(response);
  if (request.url === '/robots.txt') return void response.writeHead(404).end();
  if (request.url?.startsWith('/page') === true)
    return void response
      .writeHead(200, { 'content-type': 'text/html' })
      .end(`<h1>page</h1><!-- ${'x'.repeat(HALF_A_MEGABYTE)} -->`);
  response
    .writeHead(200, { 'content-type': 'application/json' })
    .end(JSON.stringify([{ text: 'y'.repeat(HALF_A_MEGABYTE) }]));
});
far.listen(0, '127.0.0.1');
await once(far, 'listening');
const url = `http://127.0.0.1:${(far.address() as AddressInfo).port}`;

function write(response: ServerResponse): void {
  const content = 'z'.repeat(HALF_A_MEGABYTE);
  const choices = [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }];
  const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
  response
    .writeHead(200, { 'content-type': 'application/json' })
    .end(JSON.stringify({ model: 'writer', choices, usage }));
}

const house = await running({ BATUTA_MODEL_URL: `${url}/v1`, BATUTA_MODEL: 'writer' });
const { admin } = house;
after(async () => {
  await house.stop();
  far.closeAllConnections();
  far.close();
});

function order(task_id: string, task_type: string, task_data: object, limits: object = {}): object {
  return {
    task_id,
    task_type,
    description: 'uses what it may',
    orchestrator_info: { agent_id: 'manus', timestamp: '2026-01-01T00:00:00Z' },
    task_data,
    timeout: 120,
    execution_config: { max_retries: 0, resource_limits: limits },
  };
}

async function run(id: string, type: string, data: object, limits: object = {}): Promise<Loose> {
  await submit(admin, order(id, type, data, limits));
  const told = await ended(id);
  assert.equal(told.current_status.outcome, 'completed', JSON.stringify(told.execution_details));
  return told;
}

/** Some of these take their time by themselves. */
async function ended(id: string): Promise<Loose> {
  const deadline = performance.now() + 90_000;
  for (;;) {
    const told = await statusOf(admin, id);
    if (told.current_status.outcome !== null) return told;
    assert.ok(performance.now() < deadline, `${id} stayed ${JSON.stringify(told.current_status)}`);
  }
}

const { port } = new URL(url);
const DATA: Readonly<Record<string, object>> = {
  code_execution: {
    language: 'javascript',
    code: `const text = await (await fetch('${url}/list')).text(); writeOutput('list.json', text); return text.length`,
    network: { allow: [`127.0.0.1:${port}`] },
  },
  data_processing: {
    sources: { far: { url: `${url}/list`, format: 'json' } },
    sql: 'SELECT length(text) AS n FROM far',
    outputs: [{ name: 'lengths.json', format: 'json' }],
  },
  api_integration: {
    requests: [{ name: 'list', url: `${url}/list`, response: { as: 'artifact', name: 'list.json' } }],
  },
  web_automation: {
    target_url: `${url}/page`,
    extraction_rules: { title: 'h1' },
    engine: 'http',
    options: { requests_per_second: 50 },
  },
  content_generation: { prompt: 'write a lot', stream: false, max_tokens: 500_000 },
  monitoring_task: { checks: [{ type: 'http', name: 'list', url: `${url}/list` }] },
};

suite('bandwidth', () => {
  for (const [type, data] of Object.entries(DATA))
    test(`SAM-117 SAM-118 SAM-124 ${type} gets half a megabyte no faster than its bandwidth, and its bytes are sampled`, async () => {
      const begun = performance.now();
      const id = `paced-${type}`;
      await run(id, type, data, { network_bandwidth_mbps: 2 });
      // Two seconds at two megabits, less the tenth that may pass at once.
      assert.ok(performance.now() - begun > 1_800, `${performance.now() - begun} ms`);
      const { body } = await admin.get(`/api/v2/task-metrics/${id}`);
      const samples = body.attempts.flatMap((one: Loose) => one.samples);
      const received = samples.map((one: Loose) => one.bytes_received ?? 0);
      assert.ok(Math.max(...received) >= HALF_A_MEGABYTE, JSON.stringify(samples));
    });

  test('SAM-117 SAM-118 a browser gets a page no faster than its task’s bandwidth', {
    skip: withoutBrowser,
  }, async () => {
    const begun = performance.now();
    const page = { ...DATA.web_automation, engine: 'browser' };
    const told = await run('paced-browser', 'web_automation', page, { network_bandwidth_mbps: 2 });
    assert.equal(told.execution_details.output.engine, 'browser');
    assert.ok(performance.now() - begun > 1_800);
  });
});

suite('samples', () => {
  const sampled = async (id: string): Promise<Loose[]> => {
    const { body } = await admin.get(`/api/v2/task-metrics/${id}`);
    return body.attempts.flatMap((one: Loose) => one.samples);
  };
  /** Runs some twelve seconds, and reads and writes meanwhile. */
  const LONG: Readonly<Record<string, object>> = {
    code_execution: {
      language: 'javascript',
      code: 'const end = Date.now() + 12000; for (let n = 0; Date.now() < end; n++) if (n % 1e6 === 0) console.log(n); return 1',
    },
    ...(withoutBrowser === false
      ? {
          web_automation: {
            ...DATA.web_automation,
            engine: 'browser',
            steps: [{ type: 'wait', seconds: 12 }],
          },
        }
      : {}),
  };

  test('SAM-124 processors and memory are sampled every five seconds, disk operations every ten', async () => {
    await Promise.all(
      Object.entries(LONG).map(async ([type, data]) => {
        await run(`sampled-${type}`, type, data);
        const samples = (await sampled(`sampled-${type}`)).filter(one => one.memory_mb !== undefined);
        assert.ok(samples.length >= 2, `${type}: ${JSON.stringify(samples)}`);
        const [first, second] = samples;
        for (const one of [first, second]) assert.ok(one.memory_mb > 0 && one.cpu_percentage >= 0, type);
        assert.equal(first.disk_operations, undefined, type);
        assert.ok(second.disk_operations > 0, `${type}: ${JSON.stringify(second)}`);
        const apartMs = Date.parse(second.timestamp) - Date.parse(first.timestamp);
        assert.ok(apartMs > 4_000 && apartMs < 7_000, `${type}: ${apartMs} ms`);
      }),
    );
  });
});

suite('processors', () => {
  test('SAM-118 a query has its part of a processor', async () => {
    const query = {
      sources: { t: { inline: [{ n: 1 }] } },
      sql: 'SELECT count(*) AS n FROM t, range(15000) a, range(15000) b WHERE (a.range * b.range) % 7 = 3',
    };
    const { execution_details: told, resource_usage: used } = await run(
      'part-query',
      'data_processing',
      query,
      {
        cpu_cores: 0.3,
      },
    );
    assert.equal(told.output.rows.length, 1);
    assert.ok(used.cpu.average_percentage < 80, JSON.stringify(used.cpu));
  });

  test('SAM-118 a page has its part of a processor', { skip: withoutBrowser }, async () => {
    const spin = 'const end = Date.now() + 5000; while (Date.now() < end); 1';
    const page = {
      ...DATA.web_automation,
      engine: 'browser',
      steps: [{ type: 'evaluate', expression: `(() => { ${spin.replace('; 1', '; return 1')} })()` }],
    };
    const { resource_usage: used } = await run('part-page', 'web_automation', page, { cpu_cores: 0.3 });
    assert.ok(used.cpu.average_percentage < 70, JSON.stringify(used.cpu));
  });
});

suite('what is told of limits', () => {
  const held = (told: Loose): Loose =>
    Object.fromEntries(Object.entries<Loose>(told.limits).map(([name, { mode }]) => [name, mode]));

  test('SAM-117 each type says of each limit whether it is enforced here', async () => {
    const limits = { network_bandwidth_mbps: 1_000 };
    const modes = new Map<string, Loose>();
    for (const [type, data] of Object.entries(DATA))
      modes.set(type, held((await run(`told-${type}`, type, data, limits)).resource_usage));
    const asked = { memory_mb: 'advisory', cpu_cores: 'advisory', disk_mb: 'advisory' };
    const enforced = { memory_mb: 'enforced', cpu_cores: 'enforced', disk_mb: 'enforced' };
    const network = { network_bandwidth_mbps: 'enforced' };
    assert.deepEqual(Object.fromEntries(modes), {
      code_execution: { ...enforced, ...network },
      data_processing: { ...enforced, ...network },
      api_integration: { ...asked, disk_mb: 'enforced', ...network },
      web_automation: { ...asked, ...network },
      content_generation: { ...asked, ...network },
      // Of its probes those over HTTP are counted and held; others send a few bytes past that.
      monitoring_task: { ...asked, network_bandwidth_mbps: 'advisory' },
    });
  });

  test('SAM-117 a browser is held in everything, and in all but its processors where it may burst', {
    skip: withoutBrowser,
  }, async () => {
    const page = { ...DATA.web_automation, engine: 'browser' };
    const limits = { network_bandwidth_mbps: 1_000 };
    const enforced = { memory_mb: 'enforced', cpu_cores: 'enforced', disk_mb: 'enforced' };
    const one = await run('told-browser', 'web_automation', page, limits);
    const network = { network_bandwidth_mbps: 'enforced' };
    assert.deepEqual(held(one.resource_usage), { ...enforced, ...network });
    const burst = await run('told-burst', 'web_automation', page, { ...limits, burst: true });
    assert.equal(burst.execution_details.output.engine, 'browser');
    assert.deepEqual(held(burst.resource_usage), { ...enforced, cpu_cores: 'advisory', ...network });
  });

  test('every type leaves files that can be read afterwards', async () => {
    const names = async (id: string): Promise<string[]> => {
      const { execution_details: details } = (await admin.get(`/api/v2/task-status/${id}`)).body;
      for (const { artifact_id: file } of details.artifacts) await admin.get(`/api/v2/artifacts/${file}`);
      return details.artifacts.map((one: Loose) => one.name);
    };
    const step = { id: 'step', task_type: 'code_execution', task_data: DATA.code_execution };
    const { execution_details: whole } = await run('files-flow', 'workflow_orchestration', { steps: [step] });
    assert.deepEqual(
      whole.output.artifacts.map((one: Loose) => one.name),
      ['list.json'],
    );
    for (const [type, data] of Object.entries(DATA)) {
      await run(`files-${type}`, type, data);
      assert.notDeepEqual(await names(`files-${type}`), [], `${type} left nothing`);
    }
  });
});
