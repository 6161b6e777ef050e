// Batuta's engine over PostgreSQL as a peer among peers: the server is the same that graphile-worker and pg-boss are measured on.

import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPostgres } from '../src/store/postgres/open.ts';
import { enginePeer } from './batuta-engine.ts';
import type { Peer } from './peers/peer.ts';
import { startPostgres } from './peers/servers.ts';

/** Starts an engine on a PostgreSQL of its own. */
export async function startPeer(): Promise<Peer> {
  const postgres = await startPostgres();
  const url = `postgres://bench@127.0.0.1:${postgres.port}/postgres`;
  const store = await openPostgres({ url, auditKey: Buffer.alloc(32) });
  const dir = mkdtempSync(join(tmpdir(), 'batuta-bench-'));
  const peer = await enginePeer(store, dir, {
    name: 'batuta on postgresql',
    server: 'postgresql, fsync, synchronous_commit',
  });
  return {
    ...peer,
    async stop() {
      await peer.stop();
      await postgres.stop();
    },
  };
}
