// Batuta's engine as a peer among peers: the real engine over a real store (each commit synced before it is answered), submitting
// and running no-op tasks in this process.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VERSION } from '../src/app/version.ts';
import { openSqlite } from '../src/store/sqlite/open.ts';
import type { Store } from '../src/store/store.ts';
import { openHouse, orderOf } from '../test/harness.ts';
import type { Peer } from './peers/peer.ts';

/** Starts an engine on a SQLite file of its own. */
export async function startPeer(): Promise<Peer> {
  const dir = mkdtempSync(join(tmpdir(), 'batuta-bench-'));
  const store = await openSqlite({ path: join(dir, 'batuta.db'), auditKey: Buffer.alloc(32) });
  return enginePeer(store, dir, {
    name: 'batuta engine',
    server: 'SQLite, each commit synced before it is answered',
  });
}

/** An engine over a store, in this process; stopping it stops the store too and removes the folder. */
export async function enginePeer(
  store: Store,
  dir: string,
  about: Pick<Peer, 'name' | 'server'>,
): Promise<Peer> {
  let working = false;
  let onDone = (): void => {};
  const held: (() => void)[] = [];
  const house = await openHouse({
    store,
    dir,
    options: { slotsPerType: 100, archiveDelayMs: 60_000 },
    async run() {
      // While nobody works, tasks wait, as they do with a queue that has no worker yet.
      if (!working) await new Promise<void>(resolve => held.push(resolve));
      onDone();
      return { status: 'completed', output: null };
    },
  });
  let submitted = 0;
  return {
    ...about,
    version: VERSION,
    trials: [{ slots: 100 }],
    async submit(payload) {
      const [admission] = await house.engine.submit([
        orderOf(`task-${submitted++}`, { payload: payload as never }),
      ]);
      if (admission?.kind !== 'admitted')
        throw new Error(`the task was not admitted: ${JSON.stringify(admission)}`);
    },
    async work(_settings, done) {
      working = true;
      onDone = done;
      for (const release of held.splice(0)) release();
      return async () => {
        working = false;
      };
    },
    async stop() {
      for (const release of held.splice(0)) release();
      working = true;
      await house.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
