// The processes of the demo: a server over a data directory, which can be killed and started again, and workers. All of them are
// children of this one, speak over the loopback alone, and are gone once they were told to stop.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A process that was started. */
export interface Running {
  readonly pid: number;
  /** Ends it at once, as a power cut would (SIGKILL); resolves when it is gone. */
  kill(): Promise<void>;
  /** Asks it to end (SIGTERM) and kills it if it takes too long; resolves when it is gone. */
  stop(): Promise<void>;
}

/** A server that is ready. */
export interface RunningServer extends Running {
  readonly url: string;
  /** What its first start wrote into its data directory. */
  readonly credentials: Login;
  /** From its start until it was ready. */
  readonly startMs: number;
}

/** An API key. */
export interface Login {
  readonly apiKey: string;
  readonly apiSecret: string;
}

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url));
const STOP_MS_MAX = 8_000;
/** A worker that falls silent loses its tasks after this long. */
const LEASE_MS = 5_000;
/** Programs in the sandbox at once. */
const SLOTS = 4;

/** Starts processes that keep all their files in one directory. */
export class Processes {
  readonly #home: string;
  /** In the order they were started. */
  readonly #started: Running[] = [];
  #closed = false;

  constructor(home: string) {
    this.#home = home;
  }

  /** Starts a server on the directory's data and resolves when it is ready; on any free port unless one is given. */
  async server(port = 0): Promise<RunningServer> {
    const begun = performance.now();
    const dataDir = join(this.#home, 'data');
    const [child, running] = this.#launch([MAIN, 'serve', '--json'], {
      BATUTA_PORT: String(port),
      BATUTA_DATA: dataDir,
      BATUTA_SERVER_ID: 'server',
      // The receiver of webhooks is on this machine; a server refuses such addresses unless it is told otherwise.
      BATUTA_ALLOW_PRIVATE_TARGETS: '127.0.0.1',
      BATUTA_RATE_LIMITS: 'off',
      BATUTA_LEASE_MS: String(LEASE_MS),
      BATUTA_SLOTS: String(SLOTS),
      BATUTA_LOG_LEVEL: 'error',
    });
    const { url } = JSON.parse(await firstLine(child));
    const kept = JSON.parse(readFileSync(join(dataDir, 'credentials.json'), 'utf8'));
    return {
      ...running,
      url,
      credentials: { apiKey: kept.api_key, apiSecret: kept.api_secret },
      startMs: performance.now() - begun,
    };
  }

  /** Starts a worker of that name and resolves once the server knows it. */
  async worker(name: string, url: string, { apiKey, apiSecret }: Login): Promise<Running> {
    const [child, running] = this.#launch([WORKER, name], {
      BATUTA_URL: url,
      BATUTA_API_KEY: apiKey,
      BATUTA_API_SECRET: apiSecret,
    });
    await firstLine(child);
    return running;
  }

  /** Stops whatever still runs, the last started first, and starts nothing any more. */
  async stopAll(): Promise<void> {
    this.#closed = true;
    for (const running of this.#started.toReversed()) await running.stop();
  }

  /** With a temporary directory inside our own, and none of the settings this process may have been given. */
  #launch(args: readonly string[], settings: Readonly<Record<string, string>>): [ChildProcess, Running] {
    if (this.#closed) throw new Error('the demo is over');
    const temporary = join(this.#home, 'tmp');
    mkdirSync(temporary, { recursive: true });
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('BATUTA_'));
    const child = spawn(process.execPath, args, {
      env: { ...Object.fromEntries(inherited), TMPDIR: temporary, ...settings },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const running = runningOf(child);
    this.#started.push(running);
    return [child, running];
  }
}

/** What the process says first, which it does when it is ready; rejects with its last words if it ends before. */
async function firstLine(child: ChildProcess): Promise<string> {
  let complaints = '';
  child.stderr?.on('data', chunk => {
    complaints = `${complaints}${chunk}`.slice(-2_000);
  });
  if (child.stdout === null) throw new Error('the process has no output');
  for await (const line of createInterface({ input: child.stdout })) {
    child.stdout.resume();
    return line;
  }
  throw new Error(`a process did not start: ${complaints}`);
}

function runningOf(child: ChildProcess): Running {
  const { pid } = child;
  if (pid === undefined) throw new Error('no process could be started');
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  };
  return {
    pid,
    kill: () => end('SIGKILL'),
    async stop() {
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
      await end('SIGTERM');
      clearTimeout(late);
    },
  };
}
