// Both ways to open SQLite prove themselves against the conformance suite.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../runtime/clock.ts';
import { seededRandom } from '../../runtime/random.ts';
import { type StoreUnderTest, testStore } from '../conformance.ts';
import type { Store } from '../store.ts';
import { openSqlite, openSqliteInProcess } from './open.ts';

const AUDIT_KEY = 'the audit’s key';

async function underTest(openStore: (path: string, clock: Clock) => Promise<Store>): Promise<StoreUnderTest> {
  const directory = mkdtempSync(join(tmpdir(), 'batuta-store-'));
  let now = 1_700_000_000_000;
  const clock: Clock = { now: () => now, monotonic: () => now, after: () => () => {} };
  const open = (): Promise<Store> => openStore(join(directory, 'batuta.db'), clock);
  let store = await open();
  return {
    auditKey: AUDIT_KEY,
    get store() {
      return store;
    },
    async passTime(ms) {
      now += ms;
    },
    async reopen() {
      await store.stop();
      store = await open();
    },
    async close() {
      await store.stop();
      rmSync(directory, { recursive: true });
    },
  };
}

testStore('SQLite, for serving', () =>
  underTest((path, clock) => openSqlite({ path, clock, auditKey: AUDIT_KEY })),
);

testStore('SQLite in the caller’s thread', () =>
  underTest(async (path, clock) =>
    openSqliteInProcess({ path, clock, random: seededRandom(1, clock.now), auditKey: AUDIT_KEY }),
  ),
);
