// A task's own log and resource samples: appended, read by task, never changed.

import { type LogRow, lineOf, type SampleRow, sampleOf } from '../record-row.ts';
import {
  LOG_LEVELS,
  type LogLine,
  type LogQuery,
  type Sample,
  type SampleQuery,
  type StoredLogLine,
} from '../rows.ts';
import { gathered } from './calls.ts';
import { Conditions, type Context, reading, writing } from './context.ts';
import { plain } from './records.ts';

interface Call {
  readonly lines: readonly LogLine[];
  readonly samples: readonly Sample[];
}

const RECORD = writing('record', 'SELECT batuta.record($1, $2)');
const SAMPLES = reading(
  'samples',
  'SELECT * FROM batuta.sample WHERE task = $1 AND at >= $2 ORDER BY at, id LIMIT $3',
);

/** The log lines and samples of all tasks. */
export class Logs {
  readonly #context: Context;
  readonly #call: (call: Call) => Promise<null>;

  constructor(context: Context) {
    this.#context = context;
    this.#call = gathered(async calls => {
      const lines = calls.flatMap(call => call.lines).map(packLine);
      const samples = calls.flatMap(call => call.samples);
      await context.database.ask(RECORD, [JSON.stringify(lines), JSON.stringify(samples)]);
      return calls.map(() => null);
    });
  }

  /** Appends lines and samples. */
  async record(lines: readonly LogLine[], samples: readonly Sample[]): Promise<void> {
    await this.#context.write(() => this.#call({ lines, samples }));
  }

  /** Log lines that match, oldest first. */
  async lines(query: LogQuery): Promise<readonly StoredLogLine[]> {
    const conditions = new Conditions('task = $1', query.key)
      .add('level >= ?', query.levelMin === undefined ? undefined : LOG_LEVELS.indexOf(query.levelMin))
      .add('at >= ?', query.since)
      .add('at < ?', query.until)
      .add('attempt = ?', query.attempt)
      .add('strpos(folded, ?) > 0', query.text === undefined ? undefined : plain(query.text.toLowerCase()))
      .add('id > ?', query.afterId);
    const order = query.last === true ? 'DESC' : 'ASC';
    const statement = reading(
      `log ${order} ${conditions.shape}`,
      `SELECT * FROM batuta.log ${conditions.where} ORDER BY id ${order} LIMIT ${conditions.param(query.limit)}`,
    );
    const rows = await this.#context.read<LogRow>(statement, conditions.values);
    return (query.last === true ? [...rows].reverse() : rows).map(lineOf);
  }

  /** Samples that match, oldest first. */
  async samples({ key, since = 0, limit }: SampleQuery): Promise<readonly Sample[]> {
    const rows = await this.#context.read<SampleRow>(SAMPLES, [key, since, limit]);
    return rows.map(sampleOf);
  }
}

function packLine(line: LogLine, pos: number): object {
  const message = plain(line.message);
  return {
    pos,
    key: line.key,
    tenant: line.tenant,
    at: line.at,
    level: LOG_LEVELS.indexOf(line.level),
    component: plain(line.component),
    attempt: line.attempt,
    agent: line.agentId === null ? null : plain(line.agentId),
    message,
    // The database's own lower() follows its locale.
    folded: message.toLowerCase(),
    metadata: line.metadata === undefined ? null : JSON.stringify(line.metadata),
  };
}
