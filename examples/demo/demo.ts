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
  const interrupted = interruption();
  const playing = tour(scene, options, resources);
  try {
    const result = await Promise.race([playing, interrupted]);
    scene.close();
    if (result === null) return 130;
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

/** Resolves with null at the first wish to end; everything that was started is put away then. */
function interruption(): Promise<null> {
  return new Promise(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(null));
  });
}
