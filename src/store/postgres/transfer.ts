// Taking all that another store held into an empty database: one transaction, checked before it is committed, so that it is all
// there or nothing is. The rows of the way between (`transfer.ts` above) become the rows of this schema.

import pg from 'pg';
import type { NotificationPlan } from '../../domain/delivery.ts';
import { DomainError } from '../../domain/errors.ts';
import type { AgentId, TenantId } from '../../domain/ids.ts';
import type { TaskSpec } from '../../domain/task.ts';
import { needColumns } from '../task-row.ts';
import {
  RowSum,
  TRANSFER_FIELDS,
  TRANSFER_TABLES,
  type TransferOutcome,
  type TransferProgress,
  type TransferRow,
  type TransferredTable,
  type TransferSource,
  type TransferTable,
} from '../transfer.ts';
import { clientOptions, Database } from './database.ts';
import { storeError } from './errors.ts';
import { migrate } from './migrate.ts';
import { plain, queueText, startsOf } from './records.ts';

/** How a table of this schema differs from the way between. */
interface Shape {
  /** The row as it is written here; fields and columns are the same where this is absent. */
  readonly into?: (row: TransferRow) => object;
  /** How fields are read back that are not columns of their name. */
  readonly from?: Readonly<Record<string, string>>;
}

/** Rows that came along belong to no transaction of this database: they stand before all of them. */
const BEFORE_ALL = 0;

const SHAPES: { readonly [Table in TransferTable]: Shape } = {
  queue: {
    into: ({ id, ...name }) => ({
      id,
      name: queueName(name),
      tenant: name.tenant,
      work_type: name.work_type,
    }),
    from: {
      capabilities: `(name::json -> 2)::text`,
      region: `name::json ->> 3`,
      requester: `name::json ->> 4`,
    },
  },
  task: { into: taskRow, from: { user: 'user_id' } },
  ready: {},
  lease: { into: row => ({ ...row, txn: BEFORE_ALL }) },
  timer: {},
  edge: {},
  event: { into: row => ({ ...row, txn: BEFORE_ALL }) },
  delivery: {},
  log: { into: row => ({ ...row, folded: String(row.message).toLowerCase() }) },
  sample: {},
  artifact: {
    into: row => ({ ...row, quarantined: row.quarantined !== 0 }),
    from: { quarantined: 'quarantined::integer' },
  },
  document: {},
  memory: {},
  memory_chunk: {},
  memory_vector: {},
  memory_usage: {},
  memory_gone: {},
  memory_embedder: {},
  audit: {},
  mail: { into: row => ({ ...row, txn: BEFORE_ALL }) },
  mail_name: {},
  mail_copy: {},
  mail_box: {},
  inbox: {},
  mail_verdict: {},
  dead_letter: {
    into: row => ({ ...row, told: row.told !== 0 }),
    from: { told: 'told::integer' },
  },
};

/** What gives each sequence its numbers here. */
const SEQUENCES: { readonly [Name in keyof TransferSource['next']]: string } = {
  task: `'batuta.task_key'`,
  token: `'batuta.token'`,
  event: `'batuta.event_id'`,
  delivery: `'batuta.delivery_key'`,
  timer: `pg_get_serial_sequence('batuta.timer', 'id')`,
  queue: `pg_get_serial_sequence('batuta.queue', 'id')`,
  log: `pg_get_serial_sequence('batuta.log', 'id')`,
  sample: `pg_get_serial_sequence('batuta.sample', 'id')`,
  artifact: `pg_get_serial_sequence('batuta.artifact', 'key')`,
  mail: `'batuta.mail_position'`,
  inbox: `'batuta.inbox_entry'`,
  mail_box: `pg_get_serial_sequence('batuta.mail_box', 'id')`,
  dead_letter: `pg_get_serial_sequence('batuta.dead_letter', 'id')`,
  memory: `'batuta.memory_position'`,
};

const TABLES_SQL = TRANSFER_TABLES.map(table => `batuta.${table}`).join(', ');
const ROWS_MAX = 2_000;
const CHARACTERS_MAX = 1_000_000;
const FETCH_ROWS = 200;
const STATEMENT_MS_MAX = 3_600_000;
const PATIENCE_MS = 8_000;
const PROGRESS_ROWS = 20_000;
const WEEK_MS = 604_800_000;
/** Ten years: the events of weeks beyond lie together in the rest. */
const WEEKS_MAX = 520;

/** How a transfer is made. */
export interface ReceiveOptions {
  readonly url: string;
  readonly pooled: boolean;
  /** Done first, once the database is known to be empty and while nobody else may fill it. */
  readonly before?: () => Promise<void>;
  readonly onProgress?: (progress: TransferProgress) => void;
}

/**
 * Fills an empty database with all that a source holds. Throws `conflict` where the database is not empty, `unavailable` where it
 * cannot be used or where what was written is not what was read; then nothing was moved, though the empty schema may have been made.
 */
export async function receive(source: TransferSource, options: ReceiveOptions): Promise<TransferOutcome> {
  const { url, pooled } = options;
  const reach = { url, pooled, connections: 3, statementMsMax: STATEMENT_MS_MAX, patienceMs: PATIENCE_MS };
  const database = new Database(reach);
  let schemaVersion: number;
  try {
    schemaVersion = await migrate(database);
  } finally {
    await database.stop();
  }
  const client = new pg.Client(clientOptions(reach));
  // What breaks the connection fails the statement under way as well.
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('BEGIN');
    await client.query(`SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;
      SET LOCAL enable_seqscan = on`);
    await refuseInhabited(client);
    await options.before?.();
    const outcome = await fill(client, source, options.onProgress ?? (() => {}));
    await client.query('COMMIT');
    await client.query(`ANALYZE ${TABLES_SQL}, batuta.waiting, batuta.ended`);
    return { schemaVersion, ...outcome };
  } catch (error) {
    throw storeError(error);
  } finally {
    await client.end().catch(() => {});
  }
}

/** Keeps every server's writes out until the end of the transaction. */
async function refuseInhabited(client: pg.Client): Promise<void> {
  await client.query(`LOCK TABLE ${TABLES_SQL}, batuta.waiting, batuta.ended IN SHARE ROW EXCLUSIVE MODE`);
  const found = await client.query<{ name: TransferTable }>(
    TRANSFER_TABLES.map(table => `SELECT '${table}' AS name WHERE EXISTS (SELECT FROM batuta.${table})`).join(
      ' UNION ALL ',
    ),
  );
  const [inhabited] = found.rows;
  if (inhabited === undefined) return;
  throw new DomainError('conflict', `the target is not empty: there are rows in batuta.${inhabited.name}`, {
    details: { hint: 'copy into a database on which no server was ever started, or drop its schema batuta' },
  });
}

async function fill(
  client: pg.Client,
  source: TransferSource,
  onProgress: (progress: TransferProgress) => void,
): Promise<Omit<TransferOutcome, 'schemaVersion'>> {
  const tables: TransferredTable[] = [];
  const altered: Partial<Record<TransferTable, number>> = {};
  for (const table of TRANSFER_TABLES) {
    const of = source.count(table);
    onProgress({ table, rows: 0, of });
    const written = new Writer(client, table);
    for (const row of source.rows(table)) {
      await written.add(row);
      if (written.sum.rows % PROGRESS_ROWS === 0) onProgress({ table, rows: written.sum.rows, of });
    }
    await written.flush();
    const { rows, text: checksum } = written.sum;
    const found = await sumOf(client, table);
    if (rows !== of || found.rows !== rows || found.text !== checksum)
      throw new DomainError('unavailable', `the ${table} rows that arrived are not the ones that were sent`, {
        details: { table, rows: of, sent: rows, arrived: found.rows },
      });
    onProgress({ table, rows, of });
    tables.push({ table, rows, checksum });
    if (written.altered > 0) altered[table] = written.altered;
  }
  await client.query(`INSERT INTO batuta.waiting (tenant, slot, tasks)
    SELECT tenant, 0, count(*) FROM batuta.task t
    WHERE outcome IS NULL AND NOT EXISTS (SELECT FROM batuta.lease l WHERE l.task = t.key) GROUP BY tenant`);
  await client.query(`INSERT INTO batuta.ended (at, task)
    SELECT ended_at, key FROM batuta.task WHERE ended_at IS NOT NULL AND purged = 0`);
  for (const [name, sequence] of Object.entries(SEQUENCES))
    await client.query(`SELECT setval(${sequence}, $1, false)`, [
      source.next[name as keyof typeof SEQUENCES],
    ]);
  return { tables, altered };
}

/** Writes rows of one table, many at a time. */
class Writer {
  readonly sum: RowSum;
  altered = 0;
  readonly #client: pg.Client;
  readonly #table: TransferTable;
  readonly #into: (row: TransferRow) => object;
  readonly #weeks = new Set<number>();
  #rows: string[] = [];
  #characters = 0;
  #insert: string | null = null;

  constructor(client: pg.Client, table: TransferTable) {
    this.#client = client;
    this.#table = table;
    this.#into = SHAPES[table].into ?? (row => row);
    this.sum = new RowSum(table);
  }

  async add(given: TransferRow): Promise<void> {
    const row = this.#holdable(given);
    this.sum.add(row);
    if (this.#table === 'event') await this.#makeWeek(Math.floor(Number(row.at) / WEEK_MS));
    const mine = this.#into(row);
    if (this.#insert === null) {
      const columns = Object.keys(mine).join(', ');
      this.#insert = `INSERT INTO batuta.${this.#table} (${columns}) OVERRIDING SYSTEM VALUE
        SELECT ${columns} FROM json_populate_recordset(NULL::batuta.${this.#table}, $1)`;
    }
    const text = JSON.stringify(mine);
    this.#rows.push(text);
    this.#characters += text.length;
    if (this.#rows.length >= ROWS_MAX || this.#characters >= CHARACTERS_MAX) await this.flush();
  }

  /** Writes what was gathered. */
  async flush(): Promise<void> {
    if (this.#insert === null || this.#rows.length === 0) return;
    const rows = `[${this.#rows.join(',')}]`;
    this.#rows = [];
    this.#characters = 0;
    await this.#client.query(this.#insert, [rows]);
  }

  #holdable(row: TransferRow): TransferRow {
    let changed: Record<string, TransferRow[string]> | null = null;
    for (const [field, value] of Object.entries(row)) {
      if (typeof value !== 'string') continue;
      const held = plain(value);
      if (held === value) continue;
      changed ??= { ...row };
      changed[field] = held;
      this.altered += 1;
    }
    return changed ?? row;
  }

  /** Makes room in the event log for a week of the past. */
  async #makeWeek(week: number): Promise<void> {
    if (this.#weeks.has(week) || this.#weeks.size >= WEEKS_MAX) return;
    this.#weeks.add(week);
    await this.flush();
    await this.#client.query('SELECT batuta.partition_ahead($1)', [week * WEEK_MS]);
  }
}

/** The sum of what the table now holds, read back in small parts. */
async function sumOf(client: pg.Client, table: TransferTable): Promise<RowSum> {
  const { from = {} } = SHAPES[table];
  const fields = TRANSFER_FIELDS[table].map(field => `${from[field] ?? `"${field}"`} AS "${field}"`);
  const sum = new RowSum(table);
  await client.query(`DECLARE arrived NO SCROLL CURSOR FOR SELECT ${fields.join(', ')} FROM batuta.${table}`);
  for (;;) {
    const { rows } = await client.query<TransferRow>(`FETCH ${FETCH_ROWS} FROM arrived`);
    for (const row of rows) sum.add(row);
    if (rows.length < FETCH_ROWS) break;
  }
  await client.query('CLOSE arrived');
  return sum;
}

function taskRow({ user, ...row }: TransferRow): object {
  const spec = JSON.parse(String(row.spec)) as TaskSpec;
  const plan: NotificationPlan | undefined = spec.notification;
  return {
    ...row,
    user_id: user,
    starts: plan === undefined ? null : startsOf(plan),
    ...needColumns(spec.resources),
    txn: BEFORE_ALL,
  };
}

function queueName({ tenant, work_type: workType, capabilities, region, requester }: TransferRow): string {
  return queueText({
    tenant: tenant as TenantId,
    workType: String(workType),
    capabilities: JSON.parse(String(capabilities)) as readonly string[],
    region: region as string | null,
    requester: requester as AgentId,
  });
}
