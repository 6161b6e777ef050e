// `npm run simulate -- [first seed] [how many]`: lives through worlds by seed; a failing one prints its seed and ends with 1.

import { World } from './world.ts';

const [first = '1', count = '1'] = process.argv.slice(2);
const from = Number(first);
const started = performance.now();
for (let seed = from; seed < from + Number(count); seed++) {
  try {
    await new World(seed).live(60);
  } catch (error) {
    console.error(error);
    console.error(`seed ${seed} failed`);
    process.exit(1);
  }
}
const seconds = (performance.now() - started) / 1_000;
console.log(`${count} worlds from seed ${from} held every invariant, in ${seconds.toFixed(1)} s`);
process.exit(0);
