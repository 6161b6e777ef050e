// A gigabyte through three steps on workers that never have more than 128 MiB, the server's own memory not growing with it either.
// `BATUTA_TEST_STREAM_MIB` says how much goes through; a gigabyte unless it does.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BatutaClient, Orchestrator } from '../../src/sdk/index.ts';
import { ADMIN, serverProcess } from '../server.ts';

const MEBIBYTES = Number(process.env.BATUTA_TEST_STREAM_MIB ?? 1_024);
const LIMIT_MIB = 128;
const STEP = fileURLToPath(new URL('stream-step.ts', import.meta.url));

/** What a worker does, and where it finds itself compiled. */
interface Crew {
  readonly roles: readonly string[];
  readonly cache: string;
}

const LIMITS = ['--max-old-space-size=48', '--max-semi-space-size=1'];

/** Compiling takes more memory than streaming: done before, as for whoever runs JavaScript that was built. */
async function compile(cache: string): Promise<void> {
  const env = { ...process.env, NODE_COMPILE_CACHE: cache };
  await once(spawn(process.execPath, [...LIMITS, STEP], { env, stdio: 'inherit' }), 'exit');
}

/** A worker with little room; `end` answers the most memory it ever had, in MiB. */
async function hire(t: TestContext, url: string, { roles, cache }: Crew) {
  const child = spawn(process.execPath, [...LIMITS, STEP, url, String(MEBIBYTES), ...roles], {
    env: { ...process.env, NODE_COMPILE_CACHE: cache },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', chunk => (said += chunk));
  while (!said.includes('ready')) await once(child.stdout, 'data');
  return {
    async end(): Promise<number> {
      child.kill('SIGTERM');
      await once(child, 'exit');
      return JSON.parse(said.slice(said.indexOf('{'))).peakMiB;
    },
  };
}

/** Of all that reaches the sink. */
function expected(): string {
  const hash = createHash('sha256');
  const bytes = new Uint8Array(1_024 ** 2);
  for (let number = 1; number <= MEBIBYTES; number++) {
    bytes.fill(number % 251, 4);
    new DataView(bytes.buffer).setUint32(0, number);
    bytes[4] = 255;
    hash.update(bytes);
  }
  return hash.digest('hex');
}

function peakOf(pid: number | undefined): number {
  const [, peak = '0'] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(peak) / 1_024);
}

const skip = existsSync('/proc/self/status') ? false : 'memory is read from /proc';

test('SAM-230 a gigabyte goes through three steps whose workers have 128 MiB, every byte once', {
  skip,
}, async t => {
  const dir = mkdtempSync(join(tmpdir(), 'batuta-gigabyte-'));
  const server = await serverProcess(dir);
  await server.start();
  t.after(async () => {
    await server.kill();
    rmSync(dir, { recursive: true, force: true });
  });
  const cache = join(dir, 'compiled');
  await compile(cache);
  const before = peakOf(server.pid);
  const [ends, middle] = [
    await hire(t, server.url, { roles: ['source', 'sink'], cache }),
    await hire(t, server.url, { roles: ['through'], cache }),
  ];
  const client = new BatutaClient({
    url: server.url,
    credentials: { apiKey: ADMIN.key, apiSecret: ADMIN.secret },
  });
  const step = (id: string, more: object) => ({
    ...{ id, task_type: 'custom', task_data: { type_name: id }, timeout: 3_600 },
    ...more,
  });
  const begunAt = performance.now();
  await new Orchestrator({ client, agentId: 'manus' }).submit({
    id: 'gigabyte',
    type: 'workflow_orchestration',
    timeoutSeconds: 3_600,
    data: {
      steps: [
        step('source', { outputs: { rows: {} } }),
        step('through', { inputs: { rows: 'source.rows' }, outputs: { rows: {} } }),
        step('sink', { inputs: { rows: 'through.rows' } }),
      ],
    } as never,
  });
  for await (const _ of client.events('gigabyte'));
  const seconds = (performance.now() - begunAt) / 1_000;
  const { current_status: now, execution_details: details } = await client.status('gigabyte');
  assert.equal(now.outcome, 'completed', JSON.stringify(details));
  const { output } = (await client.status('gigabyte.sink')).execution_details ?? {};
  assert.deepEqual(output, { bytes: MEBIBYTES * 1_024 ** 2, sha256: expected() });
  const peaks = { ends: await ends.end(), middle: await middle.end(), server: peakOf(server.pid) };
  t.diagnostic(
    `${MEBIBYTES} MiB in ${seconds.toFixed(1)} s; most MiB: ${JSON.stringify({ ...peaks, before })}`,
  );
  assert.ok(peaks.ends <= LIMIT_MIB && peaks.middle <= LIMIT_MIB, JSON.stringify(peaks));
  assert.ok(peaks.server - before <= LIMIT_MIB, JSON.stringify({ ...peaks, before }));
});
