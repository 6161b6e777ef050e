#!/usr/bin/env node
// npm run demo: the main job on real input, with a kill in the middle. Decides how it is shown and how it ends; what happens is in
// tour.ts.
//
//   node examples/demo/demo.ts [--json] [--rows 24000] [--seed 7] [--shops 24]

import { parseArgs } from 'node:util';
import { ROWS } from './dataset.ts';
import { plainLines, silence } from './lines.ts';
import { Scene, type View } from './scene.ts';
import { terminalScreen } from './screen.ts';
import { summarise, summaryText } from './summary.ts';
import { type TourOptions, tour } from './tour.ts';

/** Far beyond what it takes, on a machine that is busy with other things too. */
const MS_MAX = 110_000;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rows: { type: 'string', default: String(ROWS) },
    seed: { type: 'string', default: '7' },
    shops: { type: 'string', default: '24' },
  },
});

const exitCode = await play(values.json, {
  rows: Number(values.rows),
  seed: Number(values.seed),
  shops: Number(values.shops),
});
// What was interrupted may still be trying to reach what is gone.
process.exit(exitCode);

/** Plays the tour and answers the exit code: 0 if all is well, 1 if not, 130 when interrupted. */
async function play(json: boolean, options: TourOptions): Promise<number> {
  const scene = new Scene(one => viewOf(one, json));
  const resources = new AsyncDisposableStack();
  try {
    const result = await Promise.race([tour(scene, options, resources), interruption(scene)]);
    scene.close();
    if (result === 'interrupted') return 130;
    const summary = summarise(result, scene.seconds);
    process.stdout.write(json ? `${JSON.stringify(summary, null, 2)}\n` : summaryText(result, summary));
    return summary.ok ? 0 : 1;
  } catch (error) {
    scene.close();
    console.error(error);
    return 1;
  } finally {
    await resources.disposeAsync();
  }
}

/** A picture on a terminal that can draw, lines elsewhere, nothing for programs. */
function viewOf(scene: Scene, json: boolean): View {
  if (json) return silence();
  const canDraw = process.stdout.isTTY && process.env.TERM !== 'dumb';
  return canDraw
    ? terminalScreen(scene, process.stdout)
    : plainLines(scene, text => process.stdout.write(text));
}

/** Where the tasks stand that have not ended. */
function standstill({ board }: Scene): string {
  const open = board.tasks.filter(({ state }) => state === 'waiting' || state === 'running');
  const told = open.map(({ id, state, holder, attempt, percentage }) =>
    state === 'waiting' ? `${id} waits` : `${id} runs at ${holder}, attempt ${attempt}, ${percentage} %`,
  );
  return `${board.done} of ${board.planned} tasks done; ${told.join('; ')}`;
}

/** Resolves when somebody has had enough, rejects when something broke or nothing moves any more: what was started has to be put away either way. */
function interruption(scene: Scene): Promise<'interrupted'> {
  return new Promise((resolve, reject) => {
    const enough = (): void => resolve('interrupted');
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, enough);
    // Whoever read our output has left (`| head`).
    process.stdout.on('error', enough);
    process.on('uncaughtException', reject);
    setTimeout(() => reject(new Error(`the demo is stuck: ${standstill(scene)}`)), MS_MAX);
  });
}
