// The measurements of workflow engines, the same for each: steps a second of many chains at once, the wait of a lone chain's step, and how
// long a thousand steps side by side take with their join.

import { percentile, perSecond } from './measure.ts';
import type { WorkflowPeer } from './workflow-peer.ts';

const STEPS = 10;
const WIDTH = 1_000;
const LONE_CHAINS = 30;
const FAN_OUTS = 5;
const AT_ONCE = [20, 100, 400];

/** What was measured. */
export interface WorkflowFigures {
  /** Of chains of ten steps, `atOnce` of them at any time. */
  readonly stepsPerSecond: number;
  readonly atOnce: number;
  /** A lone chain's time divided by its steps; the median of thirty. */
  readonly loneStepMs: number;
  /** A thousand steps side by side and their join; the median of five. */
  readonly fanOutMs: number;
}

/** Tries how many chains at once are best for a short while each, then measures those for `seconds`. */
export async function measureWorkflows(peer: WorkflowPeer, seconds: number): Promise<WorkflowFigures> {
  const trials: { readonly atOnce: number; readonly rate: number }[] = [];
  for (const atOnce of AT_ONCE)
    trials.push({ atOnce, rate: await chains(peer, atOnce, Math.max(2, seconds / 3)) });
  const { atOnce } = trials.reduce((a, b) => (b.rate > a.rate ? b : a));
  const stepsPerSecond = await chains(peer, atOnce, seconds);
  const loneMs = await timesOf(LONE_CHAINS, () => peer.chain(STEPS));
  const fanOutsMs = await timesOf(FAN_OUTS, () => peer.fanOut(WIDTH));
  return {
    stepsPerSecond,
    atOnce,
    loneStepMs: Math.round((percentile(loneMs, 0.5) / STEPS) * 100) / 100,
    fanOutMs: percentile(fanOutsMs, 0.5),
  };
}

/** Steps of chains that ended, a second; the time runs until the last has. */
async function chains(peer: WorkflowPeer, atOnce: number, seconds: number): Promise<number> {
  let done = 0;
  const started = performance.now();
  const until = started + seconds * 1_000;
  const one = async (): Promise<void> => {
    while (performance.now() < until) {
      await peer.chain(STEPS);
      done += STEPS;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  return perSecond(done, started);
}

/** Sorted times of runs one after another, milliseconds; the first run is not counted. */
async function timesOf(count: number, run: () => Promise<void>): Promise<readonly number[]> {
  await run();
  const tookMs: number[] = [];
  for (let at = 0; at < count; at++) {
    const started = performance.now();
    await run();
    tookMs.push(performance.now() - started);
  }
  return tookMs.sort((a, b) => a - b);
}
