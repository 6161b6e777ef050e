// What the executor of workflows is made from.

import type { EngineApi } from '../../engine/api.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Store } from '../../store/store.ts';
import type { Mail } from './mail.ts';

/** What every run works with. */
export interface WorkflowParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly engine: EngineApi;
  readonly store: Pick<Store, 'read' | 'list' | 'events' | 'artifacts' | 'documents' | 'putDocuments'>;
  /** As the store's, gathering what many runs read at once. */
  readonly read: Store['read'];
  readonly mail: Mail;
}
