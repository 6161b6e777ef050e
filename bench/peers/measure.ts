// The measurements, the same for every peer: submissions alone, whole lifecycles at a bounded backlog, and the wait of a lone job
// in an idle system.

import { setTimeout as pause } from 'node:timers/promises';
import type { Peer, Settings } from './peer.ts';

const CALLERS = 64;
/** Producers pause at this many unfinished jobs, so that neither side of the mix starves the other. */
const BACKLOG_MAX = 2_000;
const IDLE_JOBS = 300;
const IDLE_GAP_MS = 5;
const PAYLOAD = { body: 'x'.repeat(500 - '{"body":""}'.length) };

/** What was measured, rates per second, latencies in milliseconds. */
export interface Figures {
  readonly submitPerSecond: number;
  readonly lifecyclePerSecond: number;
  readonly idleP50Ms: number;
  readonly idleP99Ms: number;
  readonly settings: Settings;
}

/** Tries the peer's settings for a short while each, then measures the best for `seconds` a phase. */
export async function measure(peer: Peer, seconds: number): Promise<Figures> {
  const trials: { readonly settings: Settings; readonly rate: number }[] = [];
  for (const settings of peer.trials)
    trials.push({ settings, rate: await lifecycles(peer, settings, Math.max(2, seconds / 3)) });
  const best = trials.reduce((a, b) => (b.rate > a.rate ? b : a)).settings;
  const lifecyclePerSecond = await lifecycles(peer, best, seconds);
  const [idleP50Ms, idleP99Ms] = await idle(peer, best);
  // Last, for it leaves a backlog.
  const submitPerSecond = await submissions(peer, seconds);
  return { submitPerSecond, lifecyclePerSecond, idleP50Ms, idleP99Ms, settings: best };
}

async function submissions(peer: Peer, seconds: number): Promise<number> {
  let submitted = 0;
  const until = performance.now() + seconds * 1_000;
  const started = performance.now();
  await concurrently(async () => {
    while (performance.now() < until) {
      await peer.submit(PAYLOAD);
      submitted++;
    }
  });
  return perSecond(submitted, started);
}

async function lifecycles(peer: Peer, settings: Settings, seconds: number): Promise<number> {
  let submitted = 0;
  let done = 0;
  const stop = await peer.work(settings, () => done++);
  const until = performance.now() + seconds * 1_000;
  const started = performance.now();
  await concurrently(async () => {
    while (performance.now() < until) {
      if (submitted - done >= BACKLOG_MAX) await pause(1);
      else {
        submitted++;
        await peer.submit(PAYLOAD);
      }
    }
  });
  const rate = perSecond(done, started);
  while (done < submitted) await pause(10);
  await stop();
  return rate;
}

async function idle(peer: Peer, settings: Settings): Promise<readonly [number, number]> {
  let arrived = (): void => {};
  const stop = await peer.work(settings, () => arrived());
  const waitsMs: number[] = [];
  for (let job = 0; job < IDLE_JOBS; job++) {
    await pause(IDLE_GAP_MS);
    const started = performance.now();
    const arrival = new Promise<void>(resolve => {
      arrived = resolve;
    });
    await Promise.all([peer.submit(PAYLOAD), arrival]);
    waitsMs.push(performance.now() - started);
  }
  await stop();
  waitsMs.sort((a, b) => a - b);
  return [percentile(waitsMs, 0.5), percentile(waitsMs, 0.99)];
}

async function concurrently(caller: () => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: CALLERS }, caller));
}

/** Of so many since that instant of `performance.now()`, rounded. */
export function perSecond(count: number, startedAt: number): number {
  return Math.round((count * 1_000) / (performance.now() - startedAt));
}

/** The value under which that share of sorted values lies, to two places. */
export function percentile(sorted: readonly number[], share: number): number {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return Math.round(value * 100) / 100;
}
