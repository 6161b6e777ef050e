// The store that a test works on: SQLite in memory, or a PostgreSQL database of its own where `BATUTA_TEST_STORE=postgres` says so.

import { environment } from '../src/app/config.ts';
import { type Clock, systemClock } from '../src/runtime/clock.ts';
import type { Random } from '../src/runtime/random.ts';
import { openPostgres } from '../src/store/postgres/open.ts';
import { openSqliteInProcess } from '../src/store/sqlite/open.ts';
import type { Store } from '../src/store/store.ts';
import { freshDatabase } from './postgres.ts';
import { VirtualClock } from './simulation/clock.ts';

/** Few, so that whatever holds one while it wants another is found out. */
const CONNECTIONS = 3;

/** Whether tests are to work on PostgreSQL. */
export const isOnPostgres = environment.BATUTA_TEST_STORE === 'postgres';

/** An empty store that goes by the clock given; nothing of it is left once it has stopped. */
export async function openTestStore(parts: {
  readonly clock: Clock;
  readonly random: Random;
  readonly auditKey?: string | Uint8Array;
}): Promise<Store> {
  const { clock, auditKey = Buffer.alloc(32) } = parts;
  if (!isOnPostgres) return openSqliteInProcess({ ...parts, path: ':memory:', auditKey });
  const { url, drop } = await freshDatabase();
  const time = clock === systemClock ? {} : { clock };
  const store = await openPostgres({ ...time, url, auditKey, connections: CONNECTIONS });
  const stop = async (): Promise<void> => {
    await store.stop();
    await drop();
  };
  if (!(clock instanceof VirtualClock)) return { ...store, stop };
  const mail = holding(clock, store.mail);
  const memory = holding(clock, store.memory);
  return holding(clock, { ...store, mail, memory, stop });
}

/** These verbs, while which work no time passes: to a test, a store elsewhere is as quick as one in its process. */
function holding<Verbs extends object>(clock: VirtualClock, verbs: Verbs): Verbs {
  return new Proxy(verbs, {
    get(target, name) {
      const verb: unknown = Reflect.get(target, name);
      if (typeof verb !== 'function') return verb;
      return (...args: unknown[]) => {
        const answer: unknown = Reflect.apply(verb, target, args);
        return answer instanceof Promise ? clock.hold(answer) : answer;
      };
    },
  });
}

/** What a server needs to be told to work on this database. */
export function settingsFor(url: string): Readonly<Record<string, string>> {
  return {
    ...{ BATUTA_DATABASE_URL: url, BATUTA_DATABASE_CONNECTIONS: String(CONNECTIONS) },
    // There is no load balancer that would have to see it leave.
    BATUTA_LEAVE_MS: '0',
  };
}
