// A small program of our own, run the way a task's program would be: how probes and look-ups learn what is inside a sandbox.

import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Random } from '../../../runtime/random.ts';
import { removeTree } from '../artifacts.ts';
import { limitsOfTrial } from '../limits.ts';
import { INSIDE, type Tier } from './confinement.ts';
import { layOut } from './layout.ts';

/**
 * User ids of trials, next to those of attempts and likewise given to no account. One each: whoever ends a plain child ends all of its
 * user's, and two servers of a host may start at the same time.
 */
const TRIAL_UIDS = { first: 60_584, count: 600 };
const FILE = 'trial';

/** What a trial ended with; an exit code of null means the sandbox itself did not come about. */
export interface TrialEnd {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a script through an interpreter in the tier's sandbox. Its processor time is bounded; it must not wait for anything. */
export async function tryScript(
  tier: Tier,
  script: string,
  command: { readonly interpreter: string; readonly args?: readonly string[] },
  parts: { readonly random: Random; readonly workRoot: string },
): Promise<TrialEnd> {
  const workspace = await mkdtemp(join(parts.workRoot, 'trial-'));
  const uid = TRIAL_UIDS.first + Math.floor(parts.random.fraction() * TRIAL_UIDS.count);
  const mark = { id: parts.random.uuid(), uid, turn: 0 };
  try {
    const given = { files: { [FILE]: script }, inputs: null, checkpoint: null };
    const layout = await layOut(workspace, given, tier.uidOf(mark));
    const seen = tier.level === 'bubblewrap' ? INSIDE : layout;
    const confined = tier.confine(
      {
        command: [command.interpreter, join(seen.work, FILE), ...(command.args ?? [])],
        environment: {},
        ...{ limits: limitsOfTrial(), layout, boundsData: true },
      },
      mark,
    );
    confined.stdin.end();
    const [stdout, stderr, { exitCode }] = await Promise.all([
      text(confined.stdout),
      text(confined.stderr),
      confined.ended,
    ]);
    return { exitCode, stdout, stderr };
  } finally {
    await removeTree(workspace);
  }
}
