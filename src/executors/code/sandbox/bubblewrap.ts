// Programs under bubblewrap: which arguments make the sandbox, and how it is ended. What this host lacks is found out in probe.ts.
//
// Two ways, by who the server is. An ordinary user gets a user namespace. Root makes the other namespaces directly and then drops to
// a user id of the attempt's own: there the kernel counts its processes, and a program that broke out would be nobody.

import { type ChildProcess, spawn } from 'node:child_process';
import { lstatSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { giveWay } from '../../../runtime/processors.ts';
import { Group, type GroupLimits } from './cgroup.ts';
import {
  type AttemptMark,
  type Confined,
  ENVIRONMENT_SHIM,
  environmentScript,
  INSIDE,
  PROCESS_MARGIN,
  type ProgramCommand,
  type ProgramExit,
  processorsFor,
  READS_ROOT,
  resourceLimits,
  streamsOf,
} from './confinement.ts';
import { onlyDescriptors } from './descriptors.ts';
import { descendants, signalAll } from './processes.ts';

/** What the probe found to work here. */
export interface BubblewrapSettings {
  readonly path: string;
  /** `drop`: no user namespace, then another user id; `namespace`: a user namespace, with nested ones forbidden where bwrap can. */
  readonly mode: 'drop' | 'namespace' | 'namespace_strict';
  readonly seccomp: Buffer;
  /** Paths of tools as the sandbox sees them. */
  readonly prlimit: string;
  readonly setpriv: string | null;
  readonly taskset: string | null;
  readonly processors: number;
  /** Where control groups can be made, or null. */
  readonly groupBase: string | null;
  /** Whether they hold processors too. */
  readonly groupHoldsCpu: boolean;
}

const FD = { environment: 3, seccomp: 4, status: 5, hold: 6 };
/** What an interpreter that bounds its programs itself needs beside them. */
const ENGINE_MB = 256;
const SHARED_MEMORY_BYTES = 16 << 20;
/** Tools end up in these, on every distribution known. */
const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Starts a program in a sandbox of its own. */
export function confineByBubblewrap(
  settings: BubblewrapSettings,
  command: ProgramCommand,
  mark: AttemptMark,
): Confined {
  const group = settings.groupBase === null ? null : new Group(join(settings.groupBase, `batuta-${mark.id}`));
  group?.make(groupLimits(command));
  const { cpuCores, cpuBurst } = command.limits;
  const held = group !== null || cpuBurst;
  const processors =
    settings.taskset === null || cpuBurst ? null : processorsFor(cpuCores, settings.processors, mark.turn);
  const pinned =
    processors === null || settings.taskset === null ? [] : [settings.taskset, '--cpu-list', processors];
  const [program = settings.path, ...args] = [
    ...pinned,
    settings.path,
    ...namespaceArguments(settings.mode),
    ...fileArguments(command),
    ...['--seccomp', String(FD.seccomp), '--json-status-fd', String(FD.status)],
    ...(held ? ['--block-fd', String(FD.hold)] : []),
    '--',
    ...programArguments(settings, command, mark),
  ];
  const child = spawn(program, args, {
    cwd: '/',
    env: {},
    stdio: onlyDescriptors(['pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', held ? 'pipe' : 'ignore']),
  });
  const sandbox = new Sandbox(child, group, cpuBurst);
  feed(child, FD.environment, environmentScript(INSIDE.work, command.environment));
  feed(child, FD.seccomp, settings.seccomp);
  return sandbox;
}

function groupLimits({ limits, boundsData }: ProgramCommand): GroupLimits {
  const { cpuCores, cpuBurst } = limits;
  const memoryMb = limits.memoryMb + (boundsData ? 0 : ENGINE_MB);
  return { memoryMb, processes: limits.processes + PROCESS_MARGIN, cpuCores, cpuBurst };
}

function namespaceArguments(mode: BubblewrapSettings['mode']): string[] {
  const always = [
    '--cap-drop',
    'ALL',
    '--clearenv',
    '--die-with-parent',
    '--new-session',
    '--hostname',
    'sandbox',
  ];
  if (mode !== 'drop') {
    const nested = mode === 'namespace_strict' ? ['--disable-userns'] : [];
    return ['--unshare-all', '--unshare-user', ...nested, '--uid', '1000', '--gid', '1000', ...always];
  }
  const namespaces = ['ipc', 'pid', 'net', 'uts', 'cgroup-try'].map(kind => `--unshare-${kind}`);
  const capabilities = ['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP'].flatMap(name => ['--cap-add', name]);
  return [...namespaces, ...always, ...capabilities];
}

function fileArguments({ layout, limits, reads = [] }: ProgramCommand): string[] {
  // Files there lie in memory where nobody counts them: their bound is their own.
  const scratchBytes = Math.min(limits.diskMb, limits.memoryMb) * 2 ** 20;
  return [
    ...systemArguments(),
    ...['--perms', '0755', '--dir', '/etc'],
    ...['/etc/ld.so.cache', '/etc/alternatives', '/etc/localtime'].flatMap(path => [
      '--ro-bind-try',
      path,
      path,
    ]),
    ...['passwd', 'group'].flatMap(name => ['--ro-bind-try', join(layout.given, name), `/etc/${name}`]),
    ...['--proc', '/proc', '--dev', '/dev'],
    ...['--perms', '1777', '--size', String(SHARED_MEMORY_BYTES), '--tmpfs', '/dev/shm'],
    ...['--perms', '1777', '--size', String(scratchBytes), '--tmpfs', '/tmp'],
    ...['--bind', layout.work, INSIDE.work, '--bind', layout.output, INSIDE.output],
    ...['--ro-bind', layout.input, INSIDE.input, '--ro-bind', layout.given, INSIDE.given],
    ...readArguments(reads),
    // The root and /dev are file systems in memory without a limit: nothing may be made there.
    ...['--remount-ro', '/dev', '--remount-ro', '/', '--chdir', '/', '--setenv', 'PATH', SEARCH_PATH],
  ];
}

/** Binds the paths below `READS_ROOT`; bwrap itself would make the directories above them for root alone. */
function readArguments(reads: readonly string[]): string[] {
  const above = new Set<string>();
  for (const path of reads)
    for (let parent = dirname(path); parent !== '/'; parent = dirname(parent)) above.add(parent);
  const directories = ['', ...[...above].sort()].map(path => `${READS_ROOT}${path}`);
  return [
    ...(reads.length === 0 ? [] : directories.flatMap(path => ['--perms', '0755', '--dir', path])),
    ...reads.flatMap(path => ['--ro-bind', path, `${READS_ROOT}${path}`]),
  ];
}

/** The system's own programs and libraries; never its accounts, homes, services or data. */
function systemArguments(): string[] {
  const found = ['--ro-bind', '/usr', '/usr'];
  for (const path of ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32']) {
    try {
      if (lstatSync(path).isSymbolicLink()) found.push('--symlink', readlinkSync(path), path);
      else found.push('--ro-bind', path, path);
    } catch {
      // Not on this distribution.
    }
  }
  return found;
}

function programArguments(
  settings: BubblewrapSettings,
  command: ProgramCommand,
  { uid }: AttemptMark,
): string[] {
  const { mode, setpriv, prlimit } = settings;
  const drop =
    mode === 'drop' && setpriv !== null
      ? [
          setpriv,
          `--reuid=${uid}`,
          `--regid=${uid}`,
          '--clear-groups',
          '--inh-caps=-all',
          '--bounding-set=-all',
        ]
      : [];
  const bounds = resourceLimits(command, command.limits.processes + PROCESS_MARGIN);
  return [...drop, prlimit, ...bounds, '--', '/bin/sh', '-c', ENVIRONMENT_SHIM, 'sh', ...command.command];
}

function feed(child: ChildProcess, fd: number, bytes: string | Buffer): void {
  const pipe = child.stdio[fd] as Writable;
  pipe.on('error', () => {});
  pipe.end(bytes);
}

/** The child is bwrap's outer half; its own child is the first process inside, whose end ends all others. */
class Sandbox implements Confined {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly ended: Promise<ProgramExit>;
  readonly #child: ChildProcess;
  readonly #group: Group | null;
  readonly #givesWay: boolean;
  #init: number | null = null;
  #isKilled = false;
  #isOver = false;
  #outOfMemory = false;

  constructor(child: ChildProcess, group: Group | null, givesWay: boolean) {
    this.#child = child;
    this.#group = group;
    this.#givesWay = givesWay;
    const { stdin, stdout, stderr } = streamsOf(child);
    this.stdin = stdin;
    this.stdout = stdout;
    this.stderr = stderr;
    let status = '';
    const statusPipe = child.stdio[FD.status] as Readable;
    statusPipe.on('error', () => {});
    statusPipe.setEncoding('utf8').on('data', (chunk: string) => {
      status += chunk;
      if (this.#init === null) this.#begin(status);
    });
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', () => {
        this.#isOver = true;
        this.#outOfMemory = group?.ranOutOfMemory() ?? false;
        group?.remove();
        const exit = /"exit-code":\s*(\d+)/.exec(status)?.[1];
        resolve({ exitCode: exit === undefined ? null : Number(exit) });
      });
    });
    this.ended.catch(() => {});
  }

  /** Once the first process inside is known: takes it into the group and lets it go on. */
  #begin(status: string): void {
    const pid = /"child-pid":\s*(\d+)/.exec(status)?.[1];
    if (pid === undefined) return;
    this.#init = Number(pid);
    const outer = this.#child.pid;
    try {
      if (this.#isKilled) this.kill();
      if (this.#isKilled || outer === undefined) return;
      if (this.#group === null && !this.#givesWay) return;
      for (const half of [outer, this.#init]) this.#group?.add(half);
      if (this.#givesWay) giveWay([this.#init]);
      feed(this.#child, FD.hold, 'go');
    } catch {
      // A program that cannot be held to its limits does not begin.
      this.kill();
    }
  }

  pids(countMax: number): number[] {
    return this.#init === null || this.#isOver ? [] : [this.#init, ...descendants(this.#init, countMax)];
  }

  ranOutOfMemory(): boolean {
    return this.#outOfMemory;
  }

  terminate(): void {
    signalAll(this.pids(1_000).slice(1), 'SIGTERM');
  }

  kill(): void {
    this.#isKilled = true;
    if (this.#isOver) return;
    this.#group?.kill();
    // The kernel ends everything inside with the first process, and only then does bwrap itself end. Before bwrap has told which
    // process that is, nothing of the program runs: `begin` kills it then.
    if (this.#init !== null) signalAll([this.#init], 'SIGKILL');
  }
}
