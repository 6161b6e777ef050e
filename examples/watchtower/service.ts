// Two services that are watched over: one that is down at first, one that is slow for a while. What they do depends on how often they were asked.

import { setTimeout as pause } from 'node:timers/promises';
import { type FarEnd, farEnd, json } from '../far-end.ts';

/** From this many milliseconds on an answer is slow. */
export const SLOW_MS = 2_000;

/** Opens `/payments`, which answers 503 once, and `/shop`, whose second answer is slow. */
export function openServices(): Promise<FarEnd> {
  const asked = new Map<string, number>();
  return farEnd(async ({ url: { pathname } }, response) => {
    const count = (asked.get(pathname) ?? 0) + 1;
    asked.set(pathname, count);
    const isDown = pathname === '/payments' && count === 1;
    if (pathname === '/shop' && count === 2) await pause(1.25 * SLOW_MS);
    json(response, { status: isDown ? 'starting' : 'healthy' }, isDown ? 503 : 200);
  });
}
