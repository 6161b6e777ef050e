// What crosses when all that one store holds moves into another: the tables and fields in which one driver gives and another
// takes, and the sum by which both can tell that they hold the same. Each driver keeps its rows in its own way; this is the way
// between.

import { hash } from 'node:crypto';

/** One value of a row. */
export type Cell = string | number | null;

/** A row by its fields. */
export type TransferRow = Readonly<Record<string, Cell>>;

/** Every table that moves with its fields, in the order in which they are taken; JSON is text, instants are epoch milliseconds. */
export const TRANSFER_FIELDS = {
  queue: ['id', 'tenant', 'work_type', 'capabilities', 'region', 'requester'],
  task: [
    ...[
      'key',
      'tenant',
      'id',
      'execution_id',
      'state',
      'outcome',
      'version',
      'attempt',
      'created_at',
      'queued_at',
    ],
    ...[
      'started_at',
      'ended_at',
      'updated_at',
      'ran_ms',
      'agent',
      'last_token',
      'queue',
      'rank',
      'work_type',
    ],
    ...['requester', 'session', 'user', 'correlation', 'fingerprint', 'idempotency_key', 'timeout_ms'],
    ...['attempt_timeout_ms', 'purged', 'progress', 'spec', 'result', 'checkpoint'],
  ],
  ready: ['queue', 'rank', 'task', 'since', 'memory_mb', 'cpu_cores', 'disk_mb', 'network_mbps'],
  lease: [
    ...[
      'task',
      'token',
      'agent',
      'queue',
      'rank',
      'claimed_at',
      'expires_at',
      'deadline_at',
      'version',
      'attempt',
    ],
    ...['updated_at', 'memory_mb', 'cpu_cores', 'disk_mb', 'network_mbps', 'progress', 'checkpoint'],
  ],
  timer: ['id', 'due', 'kind', 'task'],
  edge: ['dependency', 'dependent'],
  event: ['id', 'task', 'tenant', 'seq', 'count', 'at', 'body'],
  delivery: [
    ...[
      'key',
      'id',
      'tenant',
      'task',
      'channel',
      'endpoint',
      'event',
      'sequence',
      'status',
      'attempts',
      'created_at',
    ],
    ...['due_at', 'next_at', 'redelivery_of'],
  ],
  log: ['id', 'task', 'tenant', 'at', 'level', 'component', 'attempt', 'agent', 'message', 'metadata'],
  sample: [
    ...['id', 'task', 'tenant', 'attempt', 'at', 'cpu_percent', 'memory_mb', 'bytes_sent', 'bytes_received'],
    'disk_operations',
  ],
  artifact: [
    ...['key', 'tenant', 'id', 'task_id', 'attempt', 'type', 'name', 'media_type', 'size_bytes', 'sha256'],
    ...['created_at', 'quarantined'],
  ],
  document: ['kind', 'tenant', 'id', 'version', 'expires_at', 'body'],
  memory: [
    ...[
      'id',
      'tenant',
      'collection',
      'key',
      'version',
      'position',
      'owner',
      'user_id',
      'created_at',
      'updated_at',
    ],
    ...['expires_at', 'chunks', 'bytes', 'tags', 'metadata', 'value'],
  ],
  memory_chunk: ['memory', 'number', 'id', 'content'],
  memory_vector: ['memory', 'number', 'embedder', 'vector'],
  memory_usage: ['tenant', 'owner', 'records', 'chunks', 'bytes'],
  memory_gone: ['tenant', 'position', 'memory', 'at'],
  memory_embedder: ['one', 'name'],
  audit: ['tenant', 'sequence', 'at', 'action', 'principal', 'object', 'detail', 'request_id', 'hash'],
  mail: [
    ...[
      'position',
      'tenant',
      'id',
      'name',
      'fingerprint',
      'dialect',
      'type',
      'sender',
      'correlation',
      'reply_to',
    ],
    ...['task_id', 'priority', 'expires_at', 'accepted_at', 'refusal', 'addressed', 'content'],
  ],
  mail_name: ['name', 'fingerprint', 'mail', 'at'],
  mail_copy: ['mail', 'inbox', 'cause'],
  mail_box: ['id', 'tenant', 'name'],
  inbox: [
    ...['box', 'lane', 'priority', 'entry', 'mail', 'cause', 'attempt', 'since', 'not_before', 'expires_at'],
    ...['reader', 'visible_until', 'turn'],
  ],
  mail_verdict: ['entry', 'attempt', 'box', 'reader', 'outcome', 'at'],
  dead_letter: [
    ...[
      'id',
      'tenant',
      'dialect',
      'inbox',
      'lane',
      'cause',
      'reason',
      'error',
      'mail',
      'raw',
      'sender',
      'attempts',
    ],
    ...['died_at', 'told'],
  ],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** A table that moves. */
export type TransferTable = keyof typeof TRANSFER_FIELDS;

/** All tables, in the order in which they are taken. */
export const TRANSFER_TABLES = Object.keys(TRANSFER_FIELDS) as readonly TransferTable[];

/** Numbers that only grow and that callers may have kept. */
export const TRANSFER_SEQUENCES = [
  ...['task', 'token', 'event', 'delivery', 'timer', 'queue', 'log', 'sample', 'artifact'],
  ...['mail', 'inbox', 'mail_box', 'dead_letter', 'memory'],
] as const;

/** A store that gives all it holds, as of one instant. */
export interface TransferSource {
  count(table: TransferTable): number;
  /** All rows of a table, in no order, never many of them in memory. */
  rows(table: TransferTable): Iterable<TransferRow>;
  /** Of each sequence a number that was never given out, and nor was any above it. */
  readonly next: Readonly<Record<(typeof TRANSFER_SEQUENCES)[number], number>>;
  close(): void;
}

/** How far a transfer is. */
export interface TransferProgress {
  readonly table: TransferTable | 'blob';
  readonly rows: number;
  readonly of: number;
}

/** What a transfer moved of one table. */
export interface TransferredTable {
  readonly table: TransferTable;
  readonly rows: number;
  /** Equal on both sides, or nothing was moved. */
  readonly checksum: string;
}

/** What a transfer did. */
export interface TransferOutcome {
  readonly schemaVersion: number;
  readonly tables: readonly TransferredTable[];
  /** Values that had to be changed because the target cannot hold them as they were, by table; empty nearly always. */
  readonly altered: Readonly<Partial<Record<TransferTable, number>>>;
}

const SUMS = 1n << 256n;

/** The sum of a table's rows, whatever order they come in: SHA-256 of each, added up. */
export class RowSum {
  readonly #fields: readonly string[];
  #sum = 0n;
  #rows = 0;

  constructor(table: TransferTable) {
    this.#fields = TRANSFER_FIELDS[table];
  }

  /** Adds a row; what is not one of the table's fields does not count. */
  add(row: TransferRow): void {
    const text = JSON.stringify(this.#fields.map(field => row[field] ?? null));
    this.#sum = (this.#sum + BigInt(`0x${hash('sha256', text)}`)) % SUMS;
    this.#rows += 1;
  }

  /** Rows added. */
  get rows(): number {
    return this.#rows;
  }

  /** The sum so far, as 64 hexadecimal digits. */
  get text(): string {
    return this.#sum.toString(16).padStart(64, '0');
  }
}
