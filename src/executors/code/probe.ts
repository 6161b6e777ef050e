// What this host can confine programs with, found out by really doing it once: flags that work on one kernel or container fail on
// the next, so nothing is concluded from names and versions. Where nothing works the answer says what an operator could do about it.

import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { JsonObject } from '../../domain/json.ts';
import type { LimitModes } from '../../domain/task.ts';
import { canHoldProcessors } from '../../runtime/processors.ts';
import type { Random } from '../../runtime/random.ts';
import { type BubblewrapSettings, confineByBubblewrap } from './sandbox/bubblewrap.ts';
import { findGroupBase } from './sandbox/cgroup.ts';
import type { Interpreters, Tier } from './sandbox/confinement.ts';
import { confineByRlimits } from './sandbox/rlimits.ts';
import { isFiltered, seccompFilter } from './sandbox/seccomp.ts';
import { tryScript } from './sandbox/trial.ts';

/** A tier that works, or why it does not. */
export type Probed =
  | { readonly tier: Tier; readonly interpreters: Interpreters; readonly detail: JsonObject }
  | { readonly tier: null; readonly missing: string };

/** What a probe needs. */
export interface ProbeOptions {
  readonly workRoot: string;
  readonly random: Random;
  /** Where bubblewrap is, unless in one of the usual places. */
  readonly bubblewrapPath?: string;
}

const BIN = ['/usr/bin', '/bin', '/usr/local/bin', '/usr/sbin'];
const FIND_INTERPRETERS = 'for tool in python3 bash sh; do echo "$tool=$(command -v $tool)"; done';
const ADVICE =
  'user namespaces may be switched off (kernel.unprivileged_userns_clone, AppArmor of Ubuntu 24.04) or withheld by the container';

/** Tries bubblewrap, the strictest way first. */
export async function probeBubblewrap(options: ProbeOptions): Promise<Probed> {
  if (process.platform !== 'linux') return { tier: null, missing: 'bubblewrap exists on Linux only' };
  const { arch } = process;
  if (!isFiltered(arch)) return { tier: null, missing: `there is no seccomp filter for ${arch}` };
  const path = options.bubblewrapPath ?? (await find('bwrap'));
  if (path === null) return { tier: null, missing: 'bubblewrap (bwrap) is not installed' };
  const prlimit = await find('prlimit');
  if (prlimit === null) return { tier: null, missing: 'prlimit (util-linux) is not installed' };
  const [setpriv, taskset] = [await find('setpriv'), await find('taskset')];
  const group = findGroupBase();
  const common = {
    ...{ path, prlimit, setpriv, taskset },
    seccomp: seccompFilter(arch),
    processors: availableParallelism(),
    groupBase: 'base' in group ? group.base : null,
    groupHoldsCpu: 'base' in group && group.holdsCpu,
  };
  const complaints: string[] = [];
  for (const mode of modes(setpriv)) {
    const tried = await attempt(bubblewrapTier({ ...common, mode }), options);
    if (tried.tier === null) complaints.push(`${mode}: ${tried.missing}`);
    else {
      const cgroup = 'base' in group ? group.base : `none: ${group.missing}`;
      return { ...tried, detail: { mode, cgroup, limits: enforcement({ ...common, mode }) } };
    }
  }
  return {
    tier: null,
    missing: `bubblewrap cannot make a sandbox here (${complaints.join('; ')}); ${ADVICE}`,
  };
}

/** Tries plain children with resource limits. */
export async function probeRlimits(options: ProbeOptions): Promise<Probed> {
  if (process.platform !== 'linux') return { tier: null, missing: 'resource limits are set on Linux only' };
  const prlimit = await find('prlimit');
  if (prlimit === null) return { tier: null, missing: 'prlimit (util-linux) is not installed' };
  const dropsUser = isRoot();
  const tried = await attempt(
    {
      level: 'rlimits',
      uidOf: ({ uid }) => (dropsUser ? uid : null),
      confine: (command, mark) => confineByRlimits({ prlimit, dropsUser }, command, mark),
      holdsCpu: () => false,
      modes: limits => ({ ...heldBy(false, limits), network: 'advisory' }),
    },
    options,
  );
  if (tried.tier !== null) return { ...tried, detail: { separate_user: dropsUser } };
  const advice = dropsUser ? '; other users must be able to pass through the work directory (chmod o+x)' : '';
  return { tier: null, missing: `plain children with limits do not work here: ${tried.missing}${advice}` };
}

function bubblewrapTier(settings: BubblewrapSettings): Tier {
  return {
    level: 'bubblewrap',
    uidOf: ({ uid }) => (settings.mode === 'drop' ? uid : null),
    confine: (command, mark) => confineByBubblewrap(settings, command, mark),
    holdsCpu: limits => holdsCpu(settings, limits),
    // There is no network in it to use too much of.
    modes: limits => heldBy(holdsCpu(settings, limits), limits),
  };
}

/** Whole processors can be held without control groups, and more than there are need no holding. */
function holdsCpu(
  { groupHoldsCpu, taskset, processors }: BubblewrapSettings,
  { cpuCores, cpuBurst }: Parameters<Tier['modes']>[0],
): boolean {
  if (cpuBurst) return false;
  return groupHoldsCpu || cpuCores >= processors || (taskset !== null && Number.isInteger(cpuCores));
}

function modes(setpriv: string | null): BubblewrapSettings['mode'][] {
  return [...(isRoot() && setpriv !== null ? (['drop'] as const) : []), 'namespace_strict', 'namespace'];
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** How limits are held in a sandbox, whose processors we hold where the kernel does not. */
function heldBy(kernelHoldsCpu: boolean, { cpuBurst }: Parameters<Tier['modes']>[0]): LimitModes {
  const isHeld = !cpuBurst && (kernelHoldsCpu || canHoldProcessors());
  return { memory: 'enforced', cpu: isHeld ? 'enforced' : 'advisory', disk: 'enforced', network: 'enforced' };
}

/** Which limits the kernel holds alone, and which with the watch's help. */
function enforcement({ groupBase, groupHoldsCpu, taskset }: BubblewrapSettings): JsonObject {
  const held = groupBase === null ? 'enforced by rlimit and watch' : 'enforced by cgroup';
  const pinned = taskset === null ? 'enforced by the watch' : 'enforced by affinity, of parts by the watch';
  return {
    memory: held,
    processes: held,
    disk: 'enforced by rlimit and watch',
    cpu: groupHoldsCpu ? 'enforced by cgroup' : pinned,
    network: 'none',
  };
}

/** Runs a program in the tier's sandbox that lists the interpreters it can see. */
async function attempt(tier: Tier, options: ProbeOptions): Promise<Probed> {
  try {
    const { exitCode, stdout, stderr } = await tryScript(
      tier,
      FIND_INTERPRETERS,
      { interpreter: '/bin/sh' },
      options,
    );
    if (exitCode !== 0)
      return { tier: null, missing: stderr.trim().slice(0, 500) || `it ended with ${exitCode}` };
    const found = new Map([...stdout.matchAll(/^(\w+)=(\S+)$/gm)].map(([, tool, path]) => [tool, path]));
    const [python, shell] = [found.get('python3'), found.get('bash') ?? found.get('sh')];
    const interpreters = { ...(python !== undefined && { python }), ...(shell !== undefined && { shell }) };
    return { tier, interpreters, detail: {} };
  } catch (error) {
    return { tier: null, missing: String(error) };
  }
}

async function find(tool: string): Promise<string | null> {
  for (const directory of BIN) {
    const path = join(directory, tool);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return null;
}
