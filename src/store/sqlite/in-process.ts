// The store in the caller's own thread: each verb one transaction, done when the call returns.

import { DomainError } from '../../domain/errors.ts';
import type { Store } from '../store.ts';
import { type Call, type CoreOptions, SqliteCore } from './core.ts';
import { type SendCalls, storeOf } from './verbs.ts';

/** Opens a store that works in this thread, for simulation, tests and small tools; throws `unavailable` where it cannot be used. */
export function openSqliteInProcess(options: CoreOptions): Store {
  const core = new SqliteCore(options);
  let stopped = false;
  const send: SendCalls = async (call: Call) => {
    if (stopped) throw new DomainError('unavailable', 'the store is closed');
    return core.run(call);
  };
  return storeOf(send, {
    backup: path => core.backup(path),
    async stop() {
      stopped = true;
      core.close();
    },
  });
}
