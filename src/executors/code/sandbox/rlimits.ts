// Programs as plain child processes with resource limits, for operators who allowed it: bounded and killable, but not kept from
// reading what their user may read, nor from the network. As root each gets a user id of its own.

import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { giveWay } from '../../../runtime/processors.ts';
import {
  type AttemptMark,
  type Confined,
  ENVIRONMENT_SHIM,
  environmentScript,
  PROCESS_MARGIN,
  type ProgramCommand,
  type ProgramExit,
  resourceLimits,
  streamsOf,
} from './confinement.ts';
import { onlyDescriptors } from './descriptors.ts';
import { marked, type ProcessMark, signalAll, threadsOfUser } from './processes.ts';

/** What the probe found to work here. */
export interface RlimitsSettings {
  readonly prlimit: string;
  /** True where the server is root and the program is given another user id. */
  readonly dropsUser: boolean;
}

const ENVIRONMENT_FD = 3;

/** Starts a program as a plain child in a session of its own. */
export function confineByRlimits(
  settings: RlimitsSettings,
  command: ProgramCommand,
  mark: AttemptMark,
): Confined {
  const user = settings.dropsUser ? { uid: mark.uid, gid: mark.uid } : {};
  const variable = `BATUTA_ATTEMPT=${mark.id}`;
  // The kernel counts all processes of the user, not those of the program.
  const others = settings.dropsUser ? 0 : threadsOfUser(process.getuid?.() ?? -1);
  const bounds = resourceLimits(command, others + command.limits.processes + PROCESS_MARGIN);
  const child = spawn(
    settings.prlimit,
    [...bounds, '--', '/bin/sh', '-c', ENVIRONMENT_SHIM, 'sh', ...command.command],
    {
      ...user,
      cwd: '/',
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', BATUTA_ATTEMPT: mark.id },
      detached: true,
      stdio: onlyDescriptors(['pipe', 'pipe', 'pipe', 'pipe']),
    },
  );
  // It waits for its environment until then.
  if (command.limits.cpuBurst && child.pid !== undefined) giveWay([child.pid]);
  const environment = child.stdio[ENVIRONMENT_FD] as Writable;
  environment.on('error', () => {});
  environment.end(environmentScript(command.layout.work, command.environment));
  return new PlainChild(child, { variable, uid: settings.dropsUser ? mark.uid : null });
}

class PlainChild implements Confined {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly ended: Promise<ProgramExit>;
  readonly #mark: ProcessMark | null;

  constructor(child: ChildProcess, mark: Omit<ProcessMark, 'leader'>) {
    const { stdin, stdout, stderr } = streamsOf(child);
    this.stdin = stdin;
    this.stdout = stdout;
    this.stderr = stderr;
    this.#mark = child.pid === undefined ? null : { ...mark, leader: child.pid };
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject);
      // What the program left behind would keep its pipes open, and the attempt with it.
      child.on('exit', () => this.kill());
      child.on('close', (code, signal) => {
        this.kill();
        resolve({ exitCode: code ?? 128 + constants.signals[signal ?? 'SIGKILL'] });
      });
    });
    this.ended.catch(() => {});
  }

  pids(_countMax: number): number[] {
    return this.#mark === null ? [] : marked(this.#mark);
  }

  ranOutOfMemory(): boolean {
    return false;
  }

  terminate(): void {
    signalAll(this.pids(0), 'SIGTERM');
  }

  kill(): void {
    // A process may fork while the list is read: until nothing is found, nothing has been ended for good.
    for (let left = this.pids(0), tries = 0; left.length > 0 && tries < 10; left = this.pids(0), tries++)
      signalAll(left, 'SIGKILL');
  }
}
