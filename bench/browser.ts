// Browser jobs, one small page of a local site each: on a browser that an earlier job of the tenant has left warm, and on a fresh one. Prints
// one line of JSON; `node bench/browser.ts [--seconds 6]`.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { availableParallelism, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import type { JsonObject } from '../src/domain/json.ts';
import { createWebExecutor } from '../src/executors/web/executor.ts';
import { createOutbound, parsePrivateTargets } from '../src/guards/outbound.ts';
import { createTunnels } from '../src/guards/tunnels.ts';
import { silentLog } from '../src/runtime/log.ts';
import { systemRandom } from '../src/runtime/random.ts';
import { openBenchHouse, rateOf } from './house.ts';
import { percentile } from './peers/measure.ts';

const FRESH_JOBS = 5;
const WARM_JOBS = 40;

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '6' } } });
const load1m = Math.round((loadavg()[0] ?? 0) * 10) / 10;
const site = createServer((_, response) => {
  response.setHeader('content-type', 'text/html');
  response.end('<!doctype html><title>bench</title><h1>Batuta</h1>');
});
site.listen(0, '127.0.0.1');
await once(site, 'listening');
const address = site.address();
const port = typeof address === 'object' ? address?.port : undefined;
const payload: JsonObject = {
  target_url: `http://127.0.0.1:${port}/`,
  extraction_rules: { heading: 'h1' },
  options: { engine: 'browser', requests_per_second: 100, respect_robots: false },
};
const slots = availableParallelism();
const house = await openBenchHouse({
  slots,
  types: [],
  executors: ({ clock }) => {
    const guarded = { clock, log: silentLog, allowed: parsePrivateTargets('127.0.0.1') };
    const parts = { ...{ log: silentLog, clock, random: systemRandom }, outbound: createOutbound(guarded) };
    const options = { chromium: null, path: process.env.PATH ?? '', slots, allowUnconfined: false };
    return [createWebExecutor({ ...parts, tunnels: createTunnels(guarded), options })];
  },
});
const one = (tenant?: string): Promise<unknown> => house.run('web_automation', payload, tenant);
try {
  // A browser serves one tenant.
  for (let job = 0; job < FRESH_JOBS; job++) await one(`tenant-${job}`);
  const freshMs = percentile(house.tookMs(), 0.5);
  await one();
  house.tookMs();
  for (let job = 0; job < WARM_JOBS; job++) await one();
  const warmMs = percentile(house.tookMs(), 0.5);
  const perSecond = await rateOf(slots, Number(values.seconds), () => one());
  const ratio = Math.round((freshMs / warmMs) * 100) / 100;
  console.log(JSON.stringify({ perSecond, warmMs, freshMs, ratio, atOnce: slots, load1m }));
} finally {
  await house.stop();
  site.close();
}
process.exit(0);
