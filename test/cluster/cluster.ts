// A cluster on this machine: a PostgreSQL, nodes in processes of their own on it, and a front before them; each can be killed, stopped,
// cut off, set wrong and started again while the others go on.

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type PostgresServer, startPostgres } from '../postgres.ts';
import { type ServerProcess, serverProcess } from '../server.ts';
import { type Front, openFront } from './front.ts';
import { type Island, raiseIsland } from './island.ts';

const SKEW = new URL('./skew.ts', import.meta.url).href;

/** What a cluster is made of. */
export interface ClusterOptions {
  readonly nodes?: number;
  /** Puts the last node on an island; see `islandsMissing`. */
  readonly island?: boolean;
  readonly settings?: Readonly<Record<string, string>>;
  /** What its nodes run at first, if not this version. */
  readonly main?: string;
  /** How long a node may say nothing until the front holds it to be gone; a second unless given. */
  readonly silentMsMax?: number;
}

/** One node of a cluster. */
export interface ClusterNode {
  readonly id: string;
  readonly url: string;
  readonly server: ServerProcess;
  /** Starts it, with a clock that is wrong by so much; `main` is another version's program. */
  start(options?: { readonly skewMs?: number; readonly main?: string }): Promise<void>;
  /** Stops its process as it stands, as a machine that swaps or a hypervisor that migrates it does. */
  freeze(): void;
  thaw(): void;
}

/** A running cluster. */
export interface Cluster {
  readonly nodes: readonly ClusterNode[];
  readonly front: Front;
  /** The network of the last node, where it has one of its own. */
  readonly island: Island | null;
  readonly postgres: PostgresServer;
  readonly databaseUrl: string;
  readonly auditKey: Uint8Array;
  /** The address at which all nodes reach this process. */
  readonly here: string;
  stop(): Promise<void>;
}

/** Starts a PostgreSQL, so many nodes (3 unless said otherwise) and a front; resolves when all of them are ready. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const { nodes: count = 3, island: wantsIsland = false, settings = {}, main, silentMsMax } = options;
  const dir = mkdtempSync(join(tmpdir(), 'batuta-cluster-'));
  // The database's process does not keep ours awake, whatever we wait for.
  const awake = setInterval(() => {}, 60_000);
  const undo: (() => unknown)[] = [
    () => clearInterval(awake),
    () => rmSync(dir, { recursive: true, force: true }),
  ];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    // What was acknowledged must survive: no shortcuts.
    const postgres = await startPostgres({ durable: true });
    undo.push(() => postgres.stop());
    await createDatabase(postgres.url);
    const databaseUrl = databaseAt(postgres.url, {});
    const island = wantsIsland ? raiseIsland() : null;
    undo.push(() => island?.close());
    const auditKey = randomBytes(32);
    const here = island?.shore ?? '127.0.0.1';
    const shared = {
      BATUTA_MASTER_KEY: randomBytes(32).toString('base64'),
      BATUTA_AUDIT_KEY: auditKey.toString('base64'),
      BATUTA_ALLOW_PRIVATE_TARGETS: here,
      BATUTA_DATABASE_CONNECTIONS: '5',
      ...settings,
    };
    const nodes = await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const id = `node-${index + 1}`;
        const home = island !== null && index === count - 1 ? island : null;
        const more = { ...shared, BATUTA_DATABASE_URL: await databaseFor(home, postgres.url) };
        const server = await serverProcess(
          join(dir, id),
          { ...more, BATUTA_SERVER_ID: id },
          home === null ? undefined : { through: home.through, host: home.address },
        );
        undo.push(() => server.kill(), orphaned(server));
        return nodeOf(id, server);
      }),
    );
    await Promise.all(nodes.map(node => node.start(main === undefined ? {} : { main })));
    const front = await openFront(nodes, silentMsMax);
    undo.push(() => front.close());
    return { nodes, front, island, postgres, databaseUrl, auditKey, here, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function nodeOf(id: string, server: ServerProcess): ClusterNode {
  const signal = (name: NodeJS.Signals): void => {
    if (server.pid === undefined) throw new Error(`${id} does not run`);
    process.kill(server.pid, name);
  };
  return {
    id,
    url: server.url,
    server,
    start: ({ skewMs = 0, main } = {}) =>
      server.start(
        skewMs === 0 ? {} : { NODE_OPTIONS: `--import=${SKEW}`, BATUTA_TEST_SKEW_MS: String(skewMs) },
        main,
      ),
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
  };
}

/** Sees to it that a server does not outlive us; answers how to leave off. */
function orphaned(server: ServerProcess): () => void {
  const kill = (): void => {
    try {
      if (server.pid !== undefined) process.kill(server.pid, 'SIGKILL');
    } catch {
      // It went before us.
    }
  };
  process.once('exit', kill);
  return () => process.off('exit', kill);
}

async function databaseFor(home: Island | null, url: string): Promise<string> {
  if (home === null) return databaseAt(url, {});
  return databaseAt(url, { host: home.shore, port: await home.ferry(Number(new URL(url).port)) });
}

function databaseAt(
  server: string,
  { host, port }: { readonly host?: string; readonly port?: number },
): string {
  const url = new URL(server);
  url.pathname = '/batuta';
  if (host !== undefined) url.hostname = host;
  if (port !== undefined) url.port = String(port);
  return url.href;
}

async function createDatabase(server: string): Promise<void> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  await client.query('CREATE DATABASE batuta');
  await client.end();
}
