// JavaScript programs in their sandboxes: jobs a second through the engine, each a durable task, and how long a lone one takes on a warm
// process, from the executor's first to its last word. Prints one line of JSON; `node bench/javascript.ts [--seconds 6]`.

import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { JsonObject } from '../src/domain/json.ts';
import { createCodeExecutor } from '../src/executors/code/executor.ts';
import { silentLog } from '../src/runtime/log.ts';
import { systemRandom } from '../src/runtime/random.ts';
import { noOutbound, openBenchHouse, rateOf } from './house.ts';
import { percentile } from './peers/measure.ts';

const LONE_JOBS = 200;
const PROGRAM: JsonObject = { language: 'javascript', code: '[3, 1, 2].sort().join()' };

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '6' } } });
const load1m = Math.round((loadavg()[0] ?? 0) * 10) / 10;
const poolSize = availableParallelism();
const house = await openBenchHouse({
  slots: poolSize * 2,
  types: [],
  executors: ({ clock, dir }) => [
    createCodeExecutor({
      ...{ log: silentLog, clock, random: systemRandom, outbound: noOutbound },
      options: { workRoot: join(dir, 'work'), poolSize },
    }),
  ],
});
const one = (): Promise<unknown> => house.run('code_execution', PROGRAM);
try {
  await rateOf(poolSize * 2, 1, one);
  const perSecond = await rateOf(poolSize * 2, Number(values.seconds), one);
  house.tookMs();
  for (let job = 0; job < LONE_JOBS; job++) await one();
  const tookMs = house.tookMs();
  const [loneP50Ms, loneP99Ms] = [percentile(tookMs, 0.5), percentile(tookMs, 0.99)];
  console.log(JSON.stringify({ perSecond, loneP50Ms, loneP99Ms, processes: poolSize, load1m }));
} finally {
  await house.stop();
}
process.exit(0);
