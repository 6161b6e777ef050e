// A server in a process of its own, for tests that start, kill and restart it.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

/** Credentials every server of a test is given. */
export const ADMIN = {
  key: 'bk_test_admin',
  secret: 'bs_test_admin_secret_0123456789',
  jwt: 'j'.repeat(48),
} as const;

const MAIN = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
const COMPILED = fileURLToPath(new URL('../node_modules/.cache/batuta', import.meta.url));

/** A server process that can be killed and started again on the same data and port. */
export interface ServerProcess {
  readonly url: string;
  readonly port: number;
  /**
   * Starts it, `more` settings over its own, and resolves when it is ready; rejects with what it said if it ends first. `main` is
   * another version's program.
   */
  start(more?: Readonly<Record<string, string>>, main?: string): Promise<void>;
  /** Ends it at once, as a power cut would. */
  kill(): Promise<void>;
  /** Asks it to stop; resolves with its exit code. */
  stop(): Promise<number | null>;
  readonly pid: number | undefined;
  /** What it said since it was last started. */
  readonly said: string;
}

/** Where a server runs, if not simply here. */
export interface Whereabouts {
  /** The command that runs the server's; it must replace itself by it, as `ip netns exec` does. */
  readonly through: readonly string[];
  readonly host: string;
}

/** A server over this data directory; nothing runs before `start`. */
export async function serverProcess(
  dataDir: string,
  settings: Readonly<Record<string, string>> = {},
  { through, host }: Whereabouts = { through: [], host: '127.0.0.1' },
): Promise<ServerProcess> {
  const port = await freePort();
  const url = `http://${host}:${port}`;
  let child: ChildProcess | null = null;
  let said = '';
  const env = { ...environmentOf(dataDir, host, port), ...settings };
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    const ending = child;
    child = null;
    if (ending === null || ending.exitCode !== null || ending.signalCode !== null)
      return ending?.exitCode ?? null;
    const exited = once(ending, 'exit');
    ending.kill(signal);
    const [code] = await exited;
    return code;
  };
  return {
    url,
    port,
    get pid() {
      return child?.pid;
    },
    get said() {
      return said;
    },
    async start(more = {}, main = MAIN) {
      said = '';
      const [command = process.execPath, ...rest] = [...through, process.execPath, main, 'serve'];
      const started = spawn(command, rest, { env: { ...env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] });
      child = started;
      for (const stream of [started.stdout, started.stderr]) stream?.on('data', chunk => (said += chunk));
      while (started.exitCode === null && started.signalCode === null) {
        const ready = await fetch(`${url}/api/v2/health/ready`).catch(() => null);
        await ready?.body?.cancel();
        if (ready?.status === 200) return;
        await new Promise(resolve => setTimeout(resolve, 25));
      }
      throw new Error(`the server ended with ${started.exitCode}: ${said}`);
    },
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
  };
}

function environmentOf(dataDir: string, host: string, port: number): Readonly<Record<string, string>> {
  return {
    PATH: process.env.PATH ?? '',
    // As `npm start` does.
    NODE_COMPILE_CACHE: COMPILED,
    BATUTA_HOST: host,
    BATUTA_PORT: String(port),
    BATUTA_DATA: dataDir,
    BATUTA_ADMIN_KEY: ADMIN.key,
    BATUTA_ADMIN_SECRET: ADMIN.secret,
    BATUTA_JWT_SECRET: ADMIN.jwt,
    BATUTA_RATE_LIMITS: 'off',
    BATUTA_ALLOW_PRIVATE_TARGETS: '127.0.0.1',
    BATUTA_LOG_LEVEL: 'warn',
  };
}

/** A port nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port could be had');
  return address.port;
}

/** Whether something listens on a port of this host. */
export async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Headers that authenticate as the administrator of the default tenant. */
export const ADMIN_HEADERS = {
  'x-api-key': ADMIN.key,
  'x-api-secret': ADMIN.secret,
  'content-type': 'application/json',
} as const;
