// A task's own log and resource samples: appended, read by task, never changed.

import { type LogRow, lineOf, type SampleRow, sampleOf } from '../record-row.ts';
import type { Sample, SampleQuery, StoredLogLine } from '../rows.ts';
import { LOG_LEVELS, type LogLine, type LogQuery } from '../rows.ts';
import type { Connection, Prepared, Value } from './connection.ts';
import { Sequence } from './sequences.ts';

/** The log lines and samples of all tasks. */
export class Logs {
  readonly #connection: Connection;
  readonly #ids: Sequence;
  readonly #insertLine: Prepared<object>;
  readonly #insertSample: Prepared<object>;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#ids = new Sequence(connection, 'log');
    this.#insertLine = connection.prepare(
      `INSERT INTO log (id, task, tenant, at, level, component, attempt, agent, message, metadata)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#insertSample = connection.prepare(
      `INSERT INTO sample (task, tenant, attempt, at, cpu_percent, memory_mb, bytes_sent, bytes_received,
         disk_operations) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    // SQLite's own lower() knows only ASCII.
    connection.database.function('holds_text', { deterministic: true }, (message, wanted) =>
      String(message).toLowerCase().includes(String(wanted)) ? 1 : 0,
    );
  }

  /** Appends lines and samples. */
  record(lines: readonly LogLine[], samples: readonly Sample[]): void {
    for (const line of lines) {
      this.#insertLine.run(
        this.#ids.next(),
        line.key,
        line.tenant,
        line.at,
        LOG_LEVELS.indexOf(line.level),
        line.component,
        line.attempt,
        line.agentId,
        line.message,
        line.metadata === undefined ? null : JSON.stringify(line.metadata),
      );
    }
    for (const sample of samples) {
      this.#insertSample.run(
        sample.key,
        sample.tenant,
        sample.attempt,
        sample.at,
        sample.cpuPercent ?? null,
        sample.memoryMb ?? null,
        sample.bytesSent ?? null,
        sample.bytesReceived ?? null,
        sample.diskOperations ?? null,
      );
    }
  }

  /** Log lines that match, oldest first. */
  lines(query: LogQuery): readonly StoredLogLine[] {
    const conditions = ['task = ?'];
    const values: Value[] = [query.key];
    const add = (condition: string, value: Value | undefined): void => {
      if (value === undefined) return;
      conditions.push(condition);
      values.push(value);
    };
    add('level >= ?', query.levelMin === undefined ? undefined : LOG_LEVELS.indexOf(query.levelMin));
    add('at >= ?', query.since);
    add('at < ?', query.until);
    add('attempt = ?', query.attempt);
    add('holds_text(message, ?)', query.text?.toLowerCase());
    add('id > ?', query.afterId);
    const order = query.last === true ? 'DESC' : 'ASC';
    const rows = this.#connection
      .prepare<LogRow>(`SELECT * FROM log WHERE ${conditions.join(' AND ')} ORDER BY id ${order} LIMIT +?`)
      .all(...values, query.limit);
    return (query.last === true ? rows.reverse() : rows).map(lineOf);
  }

  /** Samples that match, oldest first. */
  samples(query: SampleQuery): readonly Sample[] {
    const rows = this.#connection
      .prepare<SampleRow>('SELECT * FROM sample WHERE task = ? AND at >= ? ORDER BY at, id LIMIT +?')
      .all(query.key, query.since ?? 0, query.limit);
    return rows.map(sampleOf);
  }
}
