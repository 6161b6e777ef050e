// Retention: what is past its term goes; of a task remain its names, its outcome and its times.

import type { TaskKey } from '../../domain/ids.ts';
import type { TaskSpec } from '../../domain/task.ts';
import type { NamedTasks, PurgeCounts, PurgeTerms } from '../rows.ts';
import type { Artifacts } from './artifacts.ts';
import type { Connection, Prepared } from './connection.ts';
import type { Deliveries } from './deliveries.ts';
import type { Documents } from './documents.ts';
import type { Edges } from './edges.ts';
import type { Events } from './events.ts';

interface PastRow {
  readonly key: TaskKey;
  readonly spec: string;
}

/** Deletes what is past its term. */
export class Purge {
  readonly #connection: Connection;
  readonly #rooms: {
    readonly events: Events;
    readonly deliveries: Deliveries;
    readonly edges: Edges;
    readonly artifacts: Artifacts;
    readonly documents: Documents;
  };
  readonly #past: Prepared<PastRow>;
  readonly #strip: Prepared<object>;
  readonly #named: Prepared<PastRow>;
  readonly #logs: Prepared<object>;
  readonly #samples: Prepared<object>;
  readonly #oldLogs: Prepared<object>;
  readonly #oldSamples: Prepared<object>;

  constructor(
    connection: Connection,
    rooms: {
      readonly events: Events;
      readonly deliveries: Deliveries;
      readonly edges: Edges;
      readonly artifacts: Artifacts;
      readonly documents: Documents;
    },
  ) {
    this.#connection = connection;
    this.#rooms = rooms;
    this.#past = connection.prepare(
      `SELECT key, spec FROM task
       WHERE ended_at IS NOT NULL AND purged = 0 AND ended_at < ? ORDER BY ended_at LIMIT +?`,
    );
    this.#strip = connection.prepare(
      `UPDATE task SET purged = 1, spec = ?, result = NULL, progress = NULL, checkpoint = NULL, session = NULL,
         user = NULL, correlation = NULL WHERE key = ?`,
    );
    this.#named = connection.prepare(
      `SELECT key, spec FROM task
       WHERE tenant = ? AND ended_at IS NOT NULL AND purged = 0 AND id IN (SELECT value FROM json_each(?))`,
    );
    this.#logs = connection.prepare('DELETE FROM log WHERE task = ?');
    this.#samples = connection.prepare('DELETE FROM sample WHERE task = ?');
    this.#oldLogs = connection.prepare(
      'DELETE FROM log WHERE id IN (SELECT id FROM log WHERE at < ? ORDER BY at LIMIT +?)',
    );
    this.#oldSamples = connection.prepare(
      'DELETE FROM sample WHERE id IN (SELECT id FROM sample WHERE at < ? ORDER BY at LIMIT +?)',
    );
  }

  /** Removes all content of tasks that ended, with what they logged. */
  named({ tenant, ids }: NamedTasks): PurgeCounts {
    let [logs, samples] = [0, 0];
    const named = this.#named.all(tenant, JSON.stringify(ids));
    for (const task of named) {
      this.#stripTask(task);
      logs += this.#logs.run(task.key).changes;
      samples += this.#samples.run(task.key).changes;
    }
    return { tasks: named.length, logs, samples, artifacts: 0, documents: 0, freed: [], more: false };
  }

  /** Deletes at most `limit` things of each kind that are past their term. */
  run(terms: PurgeTerms, limit: number): PurgeCounts {
    const { now } = this.#connection;
    const { artifacts, documents } = this.#rooms;
    const past = this.#past.all(now - terms.resultsMs, limit);
    for (const task of past) this.#stripTask(task);
    const oldArtifacts = artifacts.before(now - terms.artifactsMs, limit);
    const counts = {
      tasks: past.length,
      logs: this.#oldLogs.run(now - terms.logsMs, limit).changes,
      samples: this.#oldSamples.run(now - terms.samplesMs, limit).changes,
      artifacts: oldArtifacts.length,
      documents: documents.expire(limit),
    };
    const more = Object.values(counts).some(count => count === limit);
    return { ...counts, freed: artifacts.drop(oldArtifacts), more };
  }

  #stripTask({ key, spec }: PastRow): void {
    this.#rooms.events.remove(key);
    this.#rooms.deliveries.remove(key);
    this.#rooms.edges.remove(key);
    this.#strip.run(JSON.stringify(stubOf(JSON.parse(spec) as TaskSpec)), key);
  }
}

/** What of a specification says nothing about its content. */
function stubOf(spec: TaskSpec): TaskSpec {
  return {
    type: spec.type,
    ...(spec.typeName !== undefined && { typeName: spec.typeName }),
    description: '',
    payload: {},
    priority: spec.priority,
    requester: { agentId: spec.requester.agentId },
    timeoutMs: spec.timeoutMs,
    retry: spec.retry,
    resources: {},
    variables: {},
    secretNames: [],
    dependencies: [],
    dependsOn: [],
    traceId: spec.traceId,
    depth: spec.depth,
  };
}
