// `node bench/peers/run.ts <name> [--seconds 6]`: measures one peer, a queue or an engine of workflows, on servers it starts and removes itself, and
// prints one line of JSON. The peers are installed by `npm install --prefix bench/peers`.

import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { measure } from './measure.ts';
import { measureWorkflows } from './measure-workflows.ts';
import type { Peer } from './peer.ts';
import type { WorkflowPeer } from './workflow-peer.ts';

const SECONDS_MAX = 120;

/** Queues of jobs. */
const QUEUES: Readonly<Record<string, () => Promise<Peer>>> = {
  'batuta-engine': async () => (await import('../batuta-engine.ts')).startPeer(),
  'batuta-http': async () => (await import('../batuta-http.ts')).startPeer(),
  'batuta-postgres': async () => (await import('../batuta-postgres.ts')).startPeer(),
  bullmq: async () => (await import('./bullmq.ts')).startPeer(),
  graphile: async () => (await import('./graphile.ts')).startPeer(),
  pgboss: async () => (await import('./pgboss.ts')).startPeer(),
};

/** Engines of workflows. */
const WORKFLOWS: Readonly<Record<string, () => Promise<WorkflowPeer>>> = {
  'batuta-workflows': async () => (await import('../batuta-workflows.ts')).startPeer(),
  'batuta-workflows-postgres': async () => (await import('../batuta-workflows.ts')).startPostgresPeer(),
  dbos: async () => (await import('./dbos.ts')).startPeer(),
  restate: async () => (await import('./restate.ts')).startPeer(),
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '6' } },
});
const seconds = Number(values.seconds);
const [name = ''] = positionals;
if (!(seconds >= 1 && seconds <= SECONDS_MAX) || !(name in QUEUES || name in WORKFLOWS)) {
  const names = [...Object.keys(QUEUES), ...Object.keys(WORKFLOWS)];
  console.error(`usage: run.ts <${names.join('|')}> [--seconds 1–${SECONDS_MAX}]`);
  process.exit(2);
}

// A signal ends the process; its exit takes the servers along.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

// What else the machine was doing: a figure taken on a busy one is worth little.
const load1m = Math.round((loadavg()[0] ?? 0) * 10) / 10;
console.log(JSON.stringify({ ...(await figures()), load1m }));
// Some libraries keep connections open for a while.
process.exit(0);

async function figures(): Promise<object> {
  const queue = await QUEUES[name]?.();
  const peer = queue ?? (await WORKFLOWS[name]?.());
  if (peer === undefined) throw new Error(`there is no peer ${name}`);
  const { name: called, version, server } = peer;
  try {
    if ('chain' in peer) return { peer: called, version, ...(await measureWorkflows(peer, seconds)), server };
    const { settings, ...measured } = await measure(peer, seconds);
    return { peer: called, version, ...measured, settings: { ...settings, server } };
  } finally {
    await peer.stop();
  }
}
