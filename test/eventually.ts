// Waiting for what comes about by itself.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';

/** Resolves once the condition holds; fails if that takes longer, telling `what` of it. */
export async function eventually(
  holds: () => boolean | Promise<boolean>,
  msMax = 10_000,
  what: () => string = () => '',
): Promise<void> {
  const until = performance.now() + msMax;
  while (!(await holds())) {
    assert.ok(performance.now() < until, `not within ${msMax} ms ${what()}`);
    await pause(20);
  }
}
