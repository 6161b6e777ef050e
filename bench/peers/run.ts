// `node bench/peers/run.ts <bullmq|graphile|pgboss> [--seconds 6]`: measures one peer on servers it starts and removes itself, and
// prints one line of JSON. The peers are installed by `npm install --prefix bench/peers`.

import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { measure } from './measure.ts';
import type { Peer } from './peer.ts';

const SECONDS_MAX = 120;

const PEERS: Readonly<Record<string, () => Promise<{ startPeer(): Promise<Peer> }>>> = {
  'batuta-engine': () => import('../batuta-engine.ts'),
  'batuta-http': () => import('../batuta-http.ts'),
  'batuta-postgres': () => import('../batuta-postgres.ts'),
  bullmq: () => import('./bullmq.ts'),
  graphile: () => import('./graphile.ts'),
  pgboss: () => import('./pgboss.ts'),
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '6' } },
});
const seconds = Number(values.seconds);
const load = PEERS[positionals[0] ?? ''];
if (load === undefined || !(seconds >= 1 && seconds <= SECONDS_MAX)) {
  console.error(`usage: run.ts <${Object.keys(PEERS).join('|')}> [--seconds 1–${SECONDS_MAX}]`);
  process.exit(2);
}

// A signal ends the process; its exit takes the servers along.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

// What else the machine was doing: a figure taken on a busy one is worth little.
const load1m = Math.round((loadavg()[0] ?? 0) * 10) / 10;
const { startPeer } = await load();
const peer = await startPeer();
try {
  const { settings, ...figures } = await measure(peer, seconds);
  const { name, version, server } = peer;
  console.log(JSON.stringify({ peer: name, version, ...figures, settings: { ...settings, server }, load1m }));
} finally {
  await peer.stop();
}
