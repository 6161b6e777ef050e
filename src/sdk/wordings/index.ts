// Which wires agents speak by name.

import type { Wording } from '../wording.ts';
import { army } from './army.ts';
import { blog } from './blog.ts';
import { nooble } from './nooble.ts';
import { task } from './task.ts';

const KNOWN: readonly Wording[] = [army, task, blog, nooble];

/** The wire of that name, or the one that is brought; throws for a name nobody knows. */
export function wordingOf(dialect: string | Wording): Wording {
  if (typeof dialect !== 'string') return dialect;
  const found = KNOWN.find(({ name }) => name === dialect);
  if (found !== undefined) return found;
  throw new TypeError(
    `no wording is known for ${dialect}, only for ${KNOWN.map(({ name }) => name).join(', ')}: bring one of your own`,
  );
}
