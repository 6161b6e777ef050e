// Opening a PostgreSQL database as a store that any number of processes share.

import { type Clock, systemClock } from '../../runtime/clock.ts';
import type { Store } from '../store.ts';
import { Artifacts } from './artifacts.ts';
import { Audit } from './audit.ts';
import { Changes } from './changes.ts';
import { Claims } from './claims.ts';
import { Context } from './context.ts';
import { Database } from './database.ts';
import { Deliveries } from './deliveries.ts';
import { Documents } from './documents.ts';
import { Events } from './events.ts';
import { Hints } from './hints.ts';
import { Intake } from './intake.ts';
import { Logs } from './logs.ts';
import { mailOf } from './mail.ts';
import { Memories } from './memory.ts';
import { migrate } from './migrate.ts';
import { Queues } from './queues.ts';
import { Tasks } from './tasks.ts';
import { Upkeep } from './upkeep.ts';

/** What a store is made of. */
export interface PostgresOptions {
  /** `postgres://user:password@host:port/database?sslmode=verify-full`; TLS as the URL says. */
  readonly url: string;
  /** Keys the audit's chain. */
  readonly auditKey: string | Uint8Array;
  /** For tests: whose instants count instead of the database's, and whose time passes while figures are taken. */
  readonly clock?: Clock;
  /** Connections at most, 10 unless said otherwise; one more listens. */
  readonly connections?: number;
  /** A pooler that lends connections by the transaction stands between: see `DatabaseOptions`. */
  readonly pooled?: boolean;
  /** How long a statement may take, 30 s unless said otherwise. */
  readonly statementMsMax?: number;
  /** How long to wait for a database that is away before giving up, 8 s unless said otherwise. */
  readonly patienceMs?: number;
}

/** Opens a store, bringing its schema up to date; rejects with `unavailable` where the database cannot be used. */
export async function openPostgres(options: PostgresOptions): Promise<Store> {
  const { url, connections = 10, pooled = false, statementMsMax = 30_000, patienceMs } = options;
  const reach = { url, connections, pooled, statementMsMax, ...(patienceMs !== undefined && { patienceMs }) };
  const database = new Database(reach);
  const hints = new Hints(database, reach, places => {
    if (places === null) queues.forgetBounds();
    else queues.entered(places);
  });
  const context = new Context(database, options.clock ?? null, news => hints.tell(news));
  const clock = options.clock ?? systemClock;
  const queues = new Queues(context, clock);
  try {
    const schemaVersion = await migrate(database);
    const upkeep = new Upkeep(context, queues, clock, schemaVersion);
    await upkeep.prepare();
    hints.listen();
    return storeOf(context, { queues, upkeep, hints, auditKey: options.auditKey });
  } catch (error) {
    await database.stop();
    throw error;
  }
}

interface Parts {
  readonly queues: Queues;
  readonly upkeep: Upkeep;
  readonly hints: Hints;
  readonly auditKey: string | Uint8Array;
}

function storeOf(context: Context, { queues, upkeep, hints, auditKey }: Parts): Store {
  const intake = new Intake(context, queues, systemClock);
  const claims = new Claims(context, queues);
  const changes = new Changes(context, queues);
  const tasks = new Tasks(context);
  const events = new Events(context);
  return {
    capabilities: { shared: true },
    memory: new Memories(context),
    submit: (list, options) => intake.submit(list, options?.atomic === true),
    claim: picks => claims.claim(picks),
    commit: list => changes.commit(list),
    renew: renewals => claims.renew(renewals),
    leases: query => claims.leases(query),
    dueTimers: limit => tasks.dueTimers(limit),
    read: ids => tasks.read(ids),
    list: query => tasks.list(query),
    events: query => events.read(query),
    dependencies: key => tasks.dependencies(key),
    queues: () => queues.views(),
    position: (key, limit) => tasks.position(key, limit),
    hear: listener => hints.hear(listener),
    ...recordsOf(context, changes, auditKey),
    mail: mailOf(context),
    purge: (what, limit) => ('ids' in what ? upkeep.purgeNamed(what) : upkeep.purge(what, limit)),
    measure: () => upkeep.measure(),
    async stop() {
      await hints.stop();
      await context.stop();
    },
  };
}

type RecordVerbs =
  | 'record'
  | 'logs'
  | 'samples'
  | 'dueDeliveries'
  | 'settleDeliveries'
  | 'deliveries'
  | 'redeliver'
  | 'putArtifacts'
  | 'artifacts'
  | 'dropArtifacts'
  | 'documents'
  | 'putDocuments'
  | 'appendAudit'
  | 'audit';

function recordsOf(
  context: Context,
  changes: Changes,
  auditKey: string | Uint8Array,
): Pick<Store, RecordVerbs> {
  const logs = new Logs(context);
  const deliveries = new Deliveries(context, changes);
  const artifacts = new Artifacts(context);
  const documents = new Documents(context);
  const audit = new Audit(context, auditKey);
  return {
    record: (lines, samples) => logs.record(lines, samples),
    logs: query => logs.lines(query),
    samples: query => logs.samples(query),
    dueDeliveries: (limit, leaseMs) => deliveries.due(limit, leaseMs),
    settleDeliveries: settlements => deliveries.settle(settlements),
    deliveries: query => deliveries.list(query),
    redeliver: copies => deliveries.redeliver(copies),
    putArtifacts: list => artifacts.put(list),
    artifacts: query => artifacts.list(query),
    dropArtifacts: refs => artifacts.drop(refs),
    documents: query => documents.list(query),
    putDocuments: writes => documents.put(writes),
    appendAudit: entries => audit.append(entries),
    audit: query => audit.list(query),
  };
}
