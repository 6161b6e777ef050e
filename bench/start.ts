// From nothing to ready: the time from starting the process to the first 200 of the readiness route, on a fresh data directory and
// on a used one. Prints one line of JSON.

import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { quantile } from '../src/engine/statistics.ts';
import { serverProcess } from '../test/server.ts';

const load1m = Math.round((loadavg()[0] ?? 0) * 10) / 10;
const dir = mkdtempSync(join(tmpdir(), 'batuta-bench-'));
const server = await serverProcess(dir, { BATUTA_LOG_LEVEL: 'error' });
const tookMs: number[] = [];
try {
  for (let start = 0; start < 6; start++) {
    const started = performance.now();
    await server.start();
    tookMs.push(performance.now() - started);
    await server.stop();
  }
} finally {
  await server.kill();
  rmSync(dir, { recursive: true, force: true });
}
const [firstMs = 0, ...later] = tookMs.map(Math.round);
console.log(JSON.stringify({ firstMs, medianMs: quantile(later, 0.5), starts: tookMs.length, load1m }));
