// What a field meets in the place of its value, drawn by a seed.

import fc from 'fast-check';
import { VALUES } from './hostile.ts';

/** Change it to see others; a failure names it. */
export const SEED = Number(process.env.BATUTA_TEST_SEED ?? 20_260_101);
/** What each field meets, drawn by the seed. */
const HOSTILE_VALUES = 9;
const RANDOM_VALUES = 3;

/** Hostile values and some that chance makes, for the field of that number. */
export function draw(field: number): readonly unknown[] {
  const run = { seed: SEED + field, numRuns: 1 };
  const some = { minLength: HOSTILE_VALUES, maxLength: HOSTILE_VALUES };
  const [hostile = []] = fc.sample(fc.shuffledSubarray([...VALUES], some), run);
  const made = fc.sample(fc.jsonValue({ maxDepth: 3 }), { ...run, numRuns: RANDOM_VALUES });
  return [...hostile, ...made.filter(value => !JSON.stringify(value).includes('__proto__'))];
}
