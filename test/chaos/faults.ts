// What can befall a cluster: each fault strikes, proves that work goes on within its time, and mends what it broke.

import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import type { Cluster, ClusterNode } from '../cluster/cluster.ts';
import type { Load } from './load.ts';

/** How long work may rest after a fault, in milliseconds. */
export const RESUME_MS_MAX = 10_000;
const HOUR_MS = 3_600_000;
/** Longer than a lease and than a node is believed alive. */
const FROZEN_MS = 9_000;
const EXHAUSTED_MS = 4_000;

/** One misfortune; resolves with the milliseconds until work went on. */
export interface Fault {
  readonly name: string;
  /** Clients, all of which come through the front, must not notice: no request may fail even once. */
  readonly seamless?: true;
  /** Why it cannot be tried here, or false. */
  readonly skip?: (cluster: Cluster) => string | false;
  strike(cluster: Cluster, load: Load): Promise<number>;
}

/** A node dies as in a power cut, and comes back. */
export const killedNode: Fault = {
  name: 'a node killed',
  async strike(cluster, load) {
    const node = pick(cluster.nodes);
    await node.server.kill();
    const resumed = await load.goesOn(RESUME_MS_MAX);
    await node.start();
    return resumed;
  },
};

/** All nodes die but one. */
export const lastNode: Fault = {
  name: 'all nodes killed but one',
  async strike(cluster, load) {
    const survivor = pick(cluster.nodes);
    const victims = cluster.nodes.filter(node => node !== survivor);
    await Promise.all(victims.map(node => node.server.kill()));
    const resumed = await load.goesOn(RESUME_MS_MAX);
    await Promise.all(victims.map(node => node.start()));
    return resumed;
  },
};

/** Every connection to the database breaks, again and again. */
export const killedBackends: Fault = {
  name: 'backends killed',
  async strike(cluster, load) {
    for (let round = 0; round < 5; round++) {
      await asked(cluster, killNodes);
      await pause(300);
    }
    return load.goesOn(RESUME_MS_MAX);
  },
};

/** The database dies and comes back, again and again. */
export const crashedDatabase: Fault = {
  name: 'the database crashed',
  async strike(cluster, load) {
    for (let round = 0; round < 3; round++) {
      await cluster.postgres.crash();
      await pause(1_000);
    }
    return load.goesOn(RESUME_MS_MAX);
  },
};

/** Someone else takes all connections there are just when the nodes have lost theirs. */
export const exhausted: Fault = {
  name: 'no connections left',
  async strike(cluster, load) {
    const hoard: pg.Client[] = [];
    const admin = new pg.Client({ connectionString: cluster.postgres.url });
    await admin.connect();
    try {
      for (const until = performance.now() + EXHAUSTED_MS; performance.now() < until; ) {
        await hoardAll(cluster.databaseUrl, hoard);
        await admin.query(killNodes);
      }
    } finally {
      await Promise.all([admin, ...hoard].map(client => client.end()));
    }
    return load.goesOn(RESUME_MS_MAX);
  },
};

/** A transaction that somebody forgot keeps all that is deleted from being cleared away. */
export const heldTransaction: Fault = {
  name: 'idle in a transaction',
  async strike(cluster, load) {
    const client = new pg.Client({ connectionString: cluster.databaseUrl });
    await client.connect();
    try {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      await client.query('SELECT count(*) FROM batuta.task');
      return await load.goesOn(RESUME_MS_MAX);
    } finally {
      await client.query('ROLLBACK');
      await client.end();
    }
  },
};

/** A node stops in the middle of whatever it does, past its leases, and then goes on as if nothing had been. */
export const frozenNode: Fault = {
  name: 'a node frozen past its leases',
  async strike(cluster, load) {
    const node = pick(cluster.nodes);
    node.freeze();
    const began = performance.now();
    try {
      const resumed = await load.goesOn(RESUME_MS_MAX);
      await pause(Math.max(0, began + FROZEN_MS - performance.now()));
      return resumed;
    } finally {
      node.thaw();
    }
  },
};

/** A node can reach nobody and be reached by nobody, for longer than its leases last. */
export const cutOff: Fault = {
  name: 'a node cut off',
  skip: ({ island }) => (island === null ? 'no network of its own for a node' : false),
  async strike({ island }, load) {
    const began = performance.now();
    island?.cut();
    try {
      const resumed = await load.goesOn(RESUME_MS_MAX);
      await pause(Math.max(0, began + FROZEN_MS - performance.now()));
      return resumed;
    } finally {
      island?.mend();
    }
  },
};

/** Two nodes come back with clocks an hour ahead and an hour behind. */
export const wrongClocks: Fault = {
  name: 'clocks an hour wrong',
  async strike({ nodes }, load) {
    const [ahead, behind] = nodes;
    await Promise.all([restarted(ahead, HOUR_MS), restarted(behind, -HOUR_MS)]);
    const resumed = await load.goesOn(RESUME_MS_MAX);
    await pause(2_000);
    await Promise.all([restarted(ahead, 0), restarted(behind, 0)]);
    return resumed;
  },
};

/** Every node is stopped and started again, one after the other, as an update does. */
export const rollingRestart: Fault = {
  name: 'a rolling restart',
  seamless: true,
  async strike(cluster, load) {
    for (const node of cluster.nodes) {
      const code = await node.server.stop();
      if (code !== 0) throw new Error(`${node.id} ended with ${code}: ${node.server.said}`);
      await node.start();
      while (!cluster.front.ready().includes(node.url)) await pause(20);
    }
    return load.goesOn(RESUME_MS_MAX);
  },
};

/** A node, all connections and the database die one upon the other. */
export const manyAtOnce: Fault = {
  name: 'a node, connections and the database killed',
  async strike(cluster, load) {
    const node = pick(cluster.nodes);
    await node.server.kill();
    await asked(cluster, killNodes);
    await pause(500);
    await cluster.postgres.crash();
    const resumed = await load.goesOn(RESUME_MS_MAX);
    await node.start();
    return resumed;
  },
};

/** Everything that can befall, once each. */
export const FAULTS: readonly Fault[] = [
  killedNode,
  lastNode,
  killedBackends,
  crashedDatabase,
  manyAtOnce,
  exhausted,
  heldTransaction,
  frozenNode,
  cutOff,
  wrongClocks,
  rollingRestart,
];

async function restarted(node: ClusterNode | undefined, skewMs: number): Promise<void> {
  await node?.server.kill();
  await node?.start({ skewMs });
}

function pick<Item>(items: readonly Item[]): Item {
  const item = items[Math.floor(Math.random() * items.length)];
  if (item === undefined) throw new Error('there is nothing to choose from');
  return item;
}

/** Every connection that nodes have, the database's own users aside. */
const killNodes = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'batuta'`;

async function asked({ postgres }: Cluster, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/** Takes connections until there are none. */
async function hoardAll(url: string, hoard: pg.Client[]): Promise<void> {
  for (;;) {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => {});
    try {
      await client.connect();
    } catch {
      return;
    }
    hoard.push(client);
  }
}
