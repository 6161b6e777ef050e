// The store as callers see it: each verb packed into a call, sent to wherever the core lives, its answer unpacked.

import type { MailStore } from '../mail.ts';
import type { MemoryStore } from '../memory.ts';
import type { DeliverySettlement } from '../rows.ts';
import type { Store } from '../store.ts';
import { taskOf } from '../task-row.ts';
import type { SettlementRecord, VerbName, Verbs } from './core.ts';
import { eventsOf } from './events.ts';
import { claimedOf, outcomeOf, packChange, packTask } from './records.ts';

/** Runs a verb of the core and resolves with its answer once that is on disk. */
export type Send = <Name extends VerbName>(
  verb: Name,
  ...args: Parameters<Verbs[Name]>
) => Promise<ReturnType<Verbs[Name]>>;

/** A store whose verbs are all sent. */
export function storeOf(send: Send, rest: Pick<Store, 'stop'>): Store {
  return {
    capabilities: { shared: false },
    // Nobody else has the file open.
    hear: () => () => {},
    memory: memoryOf(send),
    ...tasksOf(send),
    ...deliveriesOf(send),
    leases: query => send('leases', query),
    renew: renewals => send('renew', renewals),
    dependencies: key => send('dependencies', key),
    queues: () => send('queues'),
    position: (key, limit) => send('position', key, limit),
    record: (lines, samples) => send('record', lines, samples),
    logs: query => send('logs', query),
    samples: query => send('samples', query),
    putArtifacts: artifacts => send('putArtifacts', artifacts),
    artifacts: query => send('artifacts', query),
    dropArtifacts: refs => send('dropArtifacts', refs),
    documents: query => send('documents', query),
    putDocuments: writes => send('putDocuments', writes),
    appendAudit: entries => send('appendAudit', entries),
    audit: query => send('audit', query),
    purge: (what, limit) => send('purge', what, limit),
    measure: () => send('measure'),
    mail: mailOf(send),
    ...rest,
  };
}

type TaskVerbs = 'submit' | 'claim' | 'commit' | 'dueTimers' | 'read' | 'list' | 'events';

function tasksOf(send: Send): Pick<Store, TaskVerbs> {
  return {
    async submit(tasks, options) {
      const answers = await send('submit', tasks.map(packTask), options?.atomic === true);
      return answers.map(outcomeOf);
    },
    async claim(picks) {
      const answers = await send('claim', picks);
      return answers.map(claims => claims.map(claimedOf));
    },
    commit: async changes => send('commit', changes.map(packChange)),
    async dueTimers(limit) {
      const { due, nextDueInMs } = await send('dueTimers', limit);
      return { due: due.map(({ id, kind, task }) => ({ id, kind, task: taskOf(task) })), nextDueInMs };
    },
    async read(ids) {
      const rows = await send('read', ids);
      return rows.map(row => (row === null ? null : taskOf(row)));
    },
    async list(query) {
      const { items, total } = await send('list', query);
      return { items: items.map(taskOf), total };
    },
    events: async query => eventsOf(await send('events', query), query),
  };
}

type DeliveryVerbs = 'dueDeliveries' | 'settleDeliveries' | 'deliveries' | 'redeliver';

function deliveriesOf(send: Send): Pick<Store, DeliveryVerbs> {
  return {
    async dueDeliveries(limit, leaseMs) {
      const { due, nextDueInMs } = await send('dueDeliveries', limit, leaseMs);
      return { due: due.map(one => ({ ...one, task: taskOf(one.task) })), nextDueInMs };
    },
    settleDeliveries: async settlements => send('settleDeliveries', settlements.map(packSettlement)),
    deliveries: query => send('deliveries', query),
    redeliver: copies => send('redeliver', copies),
  };
}

function mailOf(send: Send): MailStore {
  return {
    post: mail => send('mail.post', mail),
    fanOut: copies => send('mail.fanOut', copies),
    take: picks => send('mail.take', picks),
    settle: settlements => send('mail.settle', settlements),
    release: reader => send('mail.release', reader),
    sweep: (limit, deliveriesMax) => send('mail.sweep', limit, deliveriesMax),
    mail: query => send('mail.mail', query),
    depths: (tenant, inboxes) => send('mail.depths', tenant, inboxes),
    bury: letters => send('mail.bury', letters),
    deadLetters: query => send('mail.deadLetters', query),
    deadCounts: tenant => send('mail.deadCounts', tenant),
    untold: limit => send('mail.untold', limit),
    told: ids => send('mail.told', ids),
    replay: (tenant, ids) => send('mail.replay', tenant, ids),
    drop: (tenant, ids) => send('mail.drop', tenant, ids),
    blank: (tenant, mail) => send('mail.blank', tenant, mail),
    purge: (terms, limit) => send('mail.purge', terms, limit),
  };
}

function packSettlement({ change, ...rest }: DeliverySettlement): SettlementRecord {
  return { ...rest, change: change === undefined ? null : packChange(change) };
}

function memoryOf(send: Send): MemoryStore {
  return {
    put: writes => send('memory.put', writes),
    read: names => send('memory.read', names),
    find: query => send('memory.find', query),
    passages: (tenant, refs) => send('memory.passages', tenant, refs),
    feed: (tenant, after, limit) => send('memory.feed', tenant, after, limit),
    usage: tenant => send('memory.usage', tenant),
    unembedded: (embedder, after, limit) => send('memory.unembedded', embedder, after, limit),
    putVectors: (embedder, vectors) => send('memory.putVectors', embedder, vectors),
    embedder: () => send('memory.embedder'),
    enforce: (embedder, expected) => send('memory.enforce', embedder, expected),
    pruneVectors: (kept, limit) => send('memory.pruneVectors', kept, limit),
    sweep: limit => send('memory.sweep', limit),
    erase: (tenant, userId, limit) => send('memory.erase', tenant, userId, limit),
  };
}
