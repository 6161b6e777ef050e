// Starts a Redis, a PostgreSQL or a Restate of our own: loopback only, a free port, a temporary directory, data kept on disk as in
// production. Whatever was started is gone again when the process ends, however it ends.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort, listens } from '../../test/server.ts';
import type { Stop } from './peer.ts';

const READY_MS_MAX = 20_000;
const STOP_MS_MAX = 5_000;

/** A running server. */
export interface Server {
  readonly port: number;
  readonly stop: Stop;
}

/** Redis with an append-only file, flushed once a second: what BullMQ's documentation recommends. */
export async function startRedis(): Promise<Server> {
  const port = await freePort();
  const folder = temporaryFolder();
  const options = ['--bind', '127.0.0.1', '--port', String(port), '--dir', folder, '--save', ''];
  const durable = ['--appendonly', 'yes', '--appendfsync', 'everysec', '--maxmemory-policy', 'noeviction'];
  const child = spawn('redis-server', [...options, ...durable], { stdio: 'ignore' });
  return running(child, { port, folder, isReady: () => listens(port) });
}

/** PostgreSQL as it is by default, fsync and synchronous commit on; as its own user where we are root, for it refuses to be. */
export async function startPostgres(): Promise<Server> {
  const port = await freePort();
  const folder = temporaryFolder();
  const user = postgresUser();
  if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  const initialise = ['--pgdata', data, '--username', 'bench', '--auth', 'trust', '--encoding', 'UTF8'];
  execFileSync(postgresBinary('initdb'), initialise, { ...user, cwd: folder, stdio: 'ignore' });
  const settings = [
    'listen_addresses=127.0.0.1',
    `unix_socket_directories=${folder}`,
    'shared_buffers=256MB',
  ];
  const durable = ['fsync=on', 'synchronous_commit=on', 'max_connections=200', 'max_wal_size=2GB'];
  const options = ['-D', data, '-p', String(port), ...[...settings, ...durable].flatMap(one => ['-c', one])];
  const child = spawn(postgresBinary('postgres'), options, { ...user, cwd: folder, stdio: 'ignore' });
  return running(child, { port, folder, isReady: () => accepts(port) });
}

/** Restate as it is by default, one node, its log's fsync on; told nothing but where to listen. */
export async function startRestate(): Promise<Server & { readonly adminPort: number }> {
  const [port, adminPort, nodePort] = [await freePort(), await freePort(), await freePort()];
  const folder = temporaryFolder();
  const program = `@restatedev/restate-server-${process.platform}-${process.arch}/bin/restate-server`;
  const env = {
    RESTATE_BIND_IP: '127.0.0.1',
    RESTATE_ADVERTISED_HOST: '127.0.0.1',
    RESTATE_BIND_PORT: String(nodePort),
    RESTATE_LISTEN_MODE: 'tcp',
    RESTATE_INGRESS__BIND_PORT: String(port),
    RESTATE_ADMIN__BIND_PORT: String(adminPort),
    RESTATE_DISABLE_TELEMETRY: 'true',
    // It looks for newer versions of itself.
    RESTATE_LOG_FILTER: 'error,octocrab=off',
  };
  const options = ['--base-dir', folder, '--no-logo'];
  const child = spawn(createRequire(import.meta.url).resolve(program), options, {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const isReady = async (): Promise<boolean> => {
    const paths = [`${adminPort}/health`, `${port}/restate/health`];
    const answers = paths.map(path => fetch(`http://127.0.0.1:${path}`).catch(() => null));
    return (await Promise.all(answers)).every(answer => answer?.ok === true);
  };
  return { ...(await running(child, { port, folder, isReady })), adminPort };
}

interface Start {
  readonly port: number;
  readonly folder: string;
  isReady(): Promise<boolean>;
}

async function running(child: ChildProcess, { port, folder, isReady }: Start): Promise<Server> {
  const kill = (): void => {
    // PostgreSQL's immediate shutdown, which takes its children along; plain death for Redis.
    child.kill('SIGQUIT');
    removeFolder(folder);
  };
  process.once('exit', kill);
  const stop = async (): Promise<void> => {
    process.off('exit', kill);
    // PostgreSQL's smart shutdown waits for clients to leave, as those of the peers do a little late; its fast one does not.
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      child.kill(signal);
      if (await hasEnded(child)) break;
    }
    removeFolder(folder);
  };
  const until = Date.now() + READY_MS_MAX;
  while (!(await isReady())) {
    if (child.exitCode !== null || Date.now() > until) {
      kill();
      throw new Error(`${child.spawnfile} did not start`);
    }
    await pause(50);
  }
  return { port, stop };
}

async function hasEnded(child: ChildProcess): Promise<boolean> {
  for (let waited = 0; waited < STOP_MS_MAX; waited += 50) {
    if (child.exitCode !== null || child.signalCode !== null) return true;
    await pause(50);
  }
  return false;
}

/** Removes a folder that a dying server may still be writing to; synchronous, for it may be the process's last act. */
function removeFolder(folder: string): void {
  for (let attempt = 0; attempt < 20 && existsSync(folder); attempt++) {
    try {
      rmSync(folder, { recursive: true, force: true });
    } catch {
      // Something was written meanwhile: once more.
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  }
}

function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'batuta-peer-'));
}

/** True once PostgreSQL takes connections: its port is open earlier. */
async function accepts(port: number): Promise<boolean> {
  const probe = spawn(postgresBinary('pg_isready'), ['-q', '-h', '127.0.0.1', '-p', String(port)]);
  const [code] = await once(probe, 'exit');
  return code === 0;
}

function postgresBinary(name: string): string {
  const [newest] = globSync(`/usr/lib/postgresql/*/bin/${name}`).sort().reverse();
  return newest ?? name;
}

function postgresUser(): { readonly uid?: number; readonly gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}
