// `npm run simulate -- [first seed] [how many]`: lives through worlds by seed; a failing one prints its seed and ends with 1.

import { processesOf, World } from './world.ts';

/** Worlds of several processes do more in each step. */
const STEPS = { alone: 60, several: 45 };

const [first = '1', count = '1'] = process.argv.slice(2);
const from = Number(first);
const started = performance.now();
for (let seed = from; seed < from + Number(count); seed++) {
  const processes = processesOf(seed);
  try {
    await new World(seed, { processes }).live(processes === 1 ? STEPS.alone : STEPS.several);
  } catch (error) {
    console.error(error);
    console.error(`seed ${seed} failed`);
    process.exit(1);
  }
}
const seconds = (performance.now() - started) / 1_000;
console.log(`${count} worlds from seed ${from} held every invariant, in ${seconds.toFixed(1)} s`);
process.exit(0);
