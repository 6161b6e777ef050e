// The store in the caller's own thread: each verb one transaction, done when the call returns.

import { DomainError } from '../../domain/errors.ts';
import type { Store } from '../store.ts';
import { type CoreOptions, SqliteCore, type VerbName, type Verbs } from './core.ts';
import { type Send, storeOf } from './verbs.ts';

/** Opens a store that works in this thread, for simulation, tests and small tools; throws `unavailable` where it cannot be used. */
export function openSqliteInProcess(options: CoreOptions): Store {
  const core = new SqliteCore(options);
  let stopped = false;
  const send: Send = async <Name extends VerbName>(verb: Name, ...args: Parameters<Verbs[Name]>) => {
    if (stopped) throw new DomainError('unavailable', 'the store is closed');
    return core.run({ verb, args }) as ReturnType<Verbs[Name]>;
  };
  return storeOf(send, {
    async stop() {
      stopped = true;
      core.close();
    },
  });
}
