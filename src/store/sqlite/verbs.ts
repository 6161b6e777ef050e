// The port's verbs as calls: what a caller asks becomes a name and its arguments, to be run wherever the core lives.

import type { Store } from '../store.ts';
import type { Call, VerbName } from './core.ts';

/** Runs a call and answers as the verb does. */
export type SendCalls = (call: Call) => Promise<unknown>;

/** A store whose verbs are all sent. */
export function storeOf(send: SendCalls, rest: Pick<Store, 'backup' | 'stop'>): Store {
  const verb =
    <Name extends VerbName>(name: Name) =>
    (...args: Parameters<Store[Name]>) =>
      send({ verb: name, args }) as ReturnType<Store[Name]>;
  return {
    capabilities: { shared: false },
    submit: verb('submit'),
    claim: verb('claim'),
    commit: verb('commit'),
    renew: verb('renew'),
    leases: verb('leases'),
    dueTimers: verb('dueTimers'),
    read: verb('read'),
    list: verb('list'),
    events: verb('events'),
    dependencies: verb('dependencies'),
    queues: verb('queues'),
    position: verb('position'),
    record: verb('record'),
    logs: verb('logs'),
    samples: verb('samples'),
    dueDeliveries: verb('dueDeliveries'),
    settleDeliveries: verb('settleDeliveries'),
    deliveries: verb('deliveries'),
    redeliver: verb('redeliver'),
    putArtifacts: verb('putArtifacts'),
    artifacts: verb('artifacts'),
    dropArtifacts: verb('dropArtifacts'),
    documents: verb('documents'),
    putDocuments: verb('putDocuments'),
    appendAudit: verb('appendAudit'),
    audit: verb('audit'),
    purge: verb('purge'),
    measure: verb('measure'),
    ...rest,
  };
}
