// PostgreSQL proves itself against the conformance suite, with prepared statements and without.

import { describe } from 'node:test';
import { freshDatabase, postgresMissing } from '../../../test/postgres.ts';
import type { Clock } from '../../runtime/clock.ts';
import { type StoreUnderTest, testStore } from '../conformance.ts';
import type { Store } from '../store.ts';
import { openPostgres } from './open.ts';

const AUDIT_KEY = 'the audit’s key';

async function underTest(): Promise<StoreUnderTest> {
  const { url, drop } = await freshDatabase(async at => {
    const first = await openPostgres({ url: at, auditKey: AUDIT_KEY });
    await first.stop();
  });
  let now = 1_700_000_000_000;
  const clock: Clock = { now: () => now, monotonic: () => now, after: () => () => {} };
  const open = (): Promise<Store> => openPostgres({ url, clock, auditKey: AUDIT_KEY, connections: 4 });
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
      await drop();
    },
  };
}

describe('PostgreSQL', { skip: postgresMissing }, () => {
  testStore('PostgreSQL', underTest);
});
