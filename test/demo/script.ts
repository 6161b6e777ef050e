// Runs a script of the examples as its user would: in a process of its own.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** How a script ended and what it said. */
export interface ScriptEnd {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Of the group its processes are in: it leads one of its own. */
  readonly groupId: number;
}

/** Runs a script of examples/ to its end; `heard` gets each line of its output as it comes, and its process id. */
export async function runExample(
  path: string,
  options: {
    readonly args?: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
    readonly heard?: (line: string, pid: number) => void;
  } = {},
): Promise<ScriptEnd> {
  const script = fileURLToPath(new URL(`../../examples/${path}`, import.meta.url));
  const child = spawn(process.execPath, [script, ...(options.args ?? [])], {
    env: { PATH: process.env.PATH ?? '', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const groupId = child.pid ?? 0;
  createInterface({ input: child.stdout }).on('line', line => options.heard?.(line, groupId));
  const [stdout, stderr, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ]);
  return { exitCode, stdout, stderr, groupId };
}

/** What still runs of a group of processes once it had time to end; a process that is dead but not buried does not count. */
export async function survivorsOf(groupId: number): Promise<readonly string[]> {
  const deadline = performance.now() + SURVIVAL_MS_MAX;
  for (;;) {
    const survivors = membersOf(groupId);
    if (survivors.length === 0 || performance.now() > deadline) return survivors;
    await pause(POLL_MS);
  }
}

const SURVIVAL_MS_MAX = 5_000;
const POLL_MS = 50;

function membersOf(groupId: number): readonly string[] {
  const { status, stdout } = spawnSync('ps', ['-A', '-o', 'pgid=,stat=,args='], { encoding: 'utf8' });
  if (status !== 0) throw new Error('ps does not work here');
  return stdout
    .split('\n')
    .map(line => line.trim())
    .filter(line => line.startsWith(`${groupId} `) && !/^\d+ +Z/.test(line));
}
