// How fast the engine takes tasks through their lives in this process: 64 callers submit one by one, the local worker runs a no-op
// executor, everything is committed with synchronous=FULL. Prints one line of JSON; `node bench/engine.ts [seconds] [callers]`.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqlite } from '../src/store/sqlite/open.ts';
import { openHouse, orderOf } from '../test/harness.ts';

const seconds = Number(process.argv[2] ?? 6);
const callers = Number(process.argv[3] ?? 64);
const dir = mkdtempSync(join(tmpdir(), 'batuta-bench-'));
const store = await openSqlite({ path: join(dir, 'batuta.db'), auditKey: Buffer.alloc(32) });
let done = 0;
const house = await openHouse({
  store,
  dir,
  options: { slotsPerType: 100 },
  run: async () => {
    done++;
    return { status: 'completed', output: null };
  },
});

/** About 500 bytes, as the peers send. */
const payload = { input: 'x'.repeat(440) };
let submitted = 0;
let open = true;
const started = performance.now();
const lanes = Array.from({ length: callers }, async () => {
  while (open) {
    const id = `task-${submitted++}`;
    await house.engine.submit([orderOf(id, { payload })]);
    // As with the peers: producers do not run away from the workers.
    while (open && submitted - done > 20_000) await new Promise(resolve => setImmediate(resolve));
  }
});
await new Promise(resolve => setTimeout(resolve, seconds * 1_000));
const elapsed = (performance.now() - started) / 1_000;
const figures = {
  engine: 'batuta',
  callers,
  submitPerSecond: Math.round(submitted / elapsed),
  lifecyclePerSecond: Math.round(done / elapsed),
  residentMb: Math.round(process.memoryUsage.rss() / 1_048_576),
};
open = false;
await Promise.all(lanes);
console.log(JSON.stringify(figures));
await house.stop();
rmSync(dir, { recursive: true, force: true });
process.exit(0);
