import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { absent } from '../absent.ts';
import { until } from '../e2e/crew.ts';
import { running } from '../e2e/running.ts';
import type { Loose } from '../serve.ts';

// Loopback stays forbidden here: the server itself is what programs must not reach.
const house = await running({ BATUTA_ALLOW_PRIVATE_TARGETS: '' });
after(() => house.stop());
const { admin } = house;
const credentials = join(house.dataDir, 'credentials.json');
const secrets: string[] = Object.values(JSON.parse(readFileSync(credentials, 'utf8')));
const { body: health } = await admin.get('/api/v2/health');
const offered: readonly string[] = health.detail.task_types.code_execution.isolation;
const skip = offered.includes('bubblewrap') ? false : absent('this host has no bubblewrap');

let made = 0;

/** What became of a task, as text: output, error, logs and all. */
async function became(task_type: string, task_data: object): Promise<string> {
  const task_id = `escape-${++made}`;
  const { status, body } = await admin.post(
    '/api/v2/execute-task',
    {
      task_id,
      task_type,
      description: 'an attempt to escape',
      orchestrator_info: { agent_id: 'mallory', timestamp: '2026-01-01T00:00:00Z' },
      task_data,
      timeout: 20,
      execution_config: { max_retries: 0 },
    },
    { expect: null },
  );
  if (status !== 200) return JSON.stringify(body);
  await until(admin, task_id, one => one.current_status.outcome !== null);
  const { body: told } = await admin.get(`/api/v2/task-status/${task_id}?include_logs=true`);
  return JSON.stringify([told.execution_details, told.logs]);
}

function assertKept(text: string, what: string): void {
  for (const secret of secrets.filter(one => one.length > 15 && !one.startsWith('http')))
    assert.ok(!text.includes(secret), `${what} got at a credential`);
  assert.doesNotMatch(text, /root:x:0:0|"api_secret"|BATUTA_DATA/, what);
}

suite('programs', () => {
  test('SAM-120 SAM-122 SAM-138 JavaScript finds no file, no process, no environment and no way to this server', async () => {
    const asked = `
      const found = {};
      for (const name of ['process', 'require', 'module', 'Deno', 'Bun', 'WebAssembly', 'importScripts', 'navigator'])
        found[name] = typeof globalThis[name];
      const escape = (0).constructor.constructor;
      try { found.escaped = escape('return typeof process')(); } catch (error) { found.escaped = String(error); }
      for (const url of ['${house.url}/api/v2/health', 'file://${credentials}', 'http://169.254.169.254/latest/meta-data/'])
        try { found[url] = (await fetch(url)).status; } catch (error) { found[url] = String(error.message ?? error); }
      for (const path of ['${credentials}', '../../credentials.json', '/etc/passwd'])
        try { found[path] = readInput(path); } catch (error) { found[path] = String(error.message ?? error); }
      return found;`;
    const text = await became('code_execution', {
      language: 'javascript',
      code: asked,
      network: { allow: ['127.0.0.1', '169.254.169.254'] },
    });
    assertKept(text, 'JavaScript');
    const [details] = JSON.parse(text);
    const found: Loose = details.output.result;
    assert.equal(found.process, 'undefined');
    assert.equal(found.escaped, 'undefined');
    for (const [what, came] of Object.entries(found)) assert.notEqual(came, 200, `${what} was reached`);
  });

  test('SAM-120 SAM-139 Python and shell find neither the server’s files nor its processes nor its port', {
    skip,
  }, async () => {
    const { port } = new URL(house.url);
    const shell = `
      cat ${credentials} /etc/shadow 2>&1; ls ${house.dataDir} /proc/1/root 2>&1; env
      cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -i -e batuta -e node
      (echo > /dev/tcp/127.0.0.1/${port}) 2>&1 && echo REACHED; touch /evil 2>&1 && echo WROTE; echo done`;
    const python = `
import os, socket
for path in ['${credentials}', '/proc/self/root${credentials}', '/proc/1/environ']:
    try: print(open(path).read())
    except OSError as error: print(error)
try:
    socket.create_connection(('127.0.0.1', ${port}), 2); print('REACHED')
except OSError as error: print(error)
print(dict(os.environ), os.getuid())`;
    for (const [language, code] of Object.entries({ shell, python })) {
      const text = await became('code_execution', { language, code });
      assertKept(text, language);
      assert.doesNotMatch(text, /REACHED|WROTE/, language);
      assert.match(
        text,
        language === 'shell' ? /done/ : /Connection refused|unreachable|not permitted/i,
        text,
      );
    }
  });
});

suite('queries', () => {
  test('SAM-152 SQL sees its sources and nothing else: no file, no network, no setting, no extension', async () => {
    const statements = [
      `SELECT * FROM read_text('${credentials}')`,
      `SELECT * FROM '${credentials}'`,
      `SELECT * FROM read_csv_auto('/etc/passwd')`,
      `SELECT * FROM glob('${house.dataDir}/*')`,
      `ATTACH '${join(house.dataDir, 'batuta.db')}' AS house (TYPE sqlite)`,
      `COPY (SELECT 1) TO '${join(house.dataDir, 'evil.csv')}'`,
      'INSTALL httpfs; LOAD httpfs',
      `SELECT * FROM read_csv('${house.url}/api/v2/openapi.json')`,
      `SET enable_external_access = true; SELECT * FROM read_text('${credentials}')`,
      "SELECT getenv('PATH')",
      'SELECT * FROM duckdb_settings()',
      `EXPORT DATABASE '${join(house.dataDir, 'evil')}'`,
      `SELECT 1; SELECT * FROM read_blob('${credentials}')`,
    ];
    const sources = { one: { format: 'json', inline: [{ a: 1 }] } };
    for (const sql of statements) {
      const text = await became('data_processing', { sources, sql });
      assertKept(text, sql);
      assert.match(
        text,
        /POLICY_VIOLATION|EXECUTION_ERROR|INVALID_REQUEST|UNPROCESSABLE/,
        `${sql}: ${text.slice(0, 300)}`,
      );
    }
    const fine = await became('data_processing', { sources, sql: 'SELECT a + 1 AS b FROM one' });
    assert.match(fine, /"b":2/);
  });
});
