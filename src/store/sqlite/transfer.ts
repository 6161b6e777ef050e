// Giving all that a database's file holds to another store: read-only, as of one instant, a row at a time.

import { DomainError } from '../../domain/errors.ts';
import { TRANSFER_FIELDS, type TransferRow, type TransferSource, type TransferTable } from '../transfer.ts';
import { openToRead } from './copy.ts';
import { storeError } from './errors.ts';
import { MIGRATIONS } from './migrations/migrations.ts';

/** What of each sequence is on disk: in which table its numbers lie, and under which name it reserves them. */
const SEQUENCES = {
  task: { column: 'key', reserved: 'task' },
  token: { table: 'lease', column: 'token', reserved: 'token' },
  event: { column: 'id', reserved: 'event' },
  delivery: { column: 'key', reserved: 'delivery' },
  timer: { column: 'id', reserved: 'timer' },
  queue: { column: 'id', reserved: 'queue' },
  log: { column: 'id', reserved: 'log' },
  sample: { column: 'id' },
  artifact: { column: 'key' },
  mail: { column: 'position', reserved: 'mail' },
  inbox: { column: 'entry', reserved: 'inbox' },
  mail_box: { column: 'id', reserved: 'mail_box' },
  dead_letter: { column: 'id', reserved: 'dead_letter' },
  memory: { column: 'position', reserved: 'memory' },
} as const satisfies Readonly<
  Record<
    keyof TransferSource['next'],
    { readonly table?: TransferTable; readonly column: string; readonly reserved?: string }
  >
>;

/** Opens a database's file to be read whole; throws `unavailable` for one that is no Batuta database, or of an older or newer schema. */
export function openSource(path: string): TransferSource {
  const database = openToRead(path);
  const guarded = <Answer>(work: () => Answer): Answer => {
    try {
      return work();
    } catch (error) {
      throw storeError(error);
    }
  };
  const number = (sql: string): number => Number(Object.values(database.prepare(sql).get() ?? {})[0] ?? 0);
  try {
    const schema = guarded(() => number('PRAGMA user_version'));
    if (schema < MIGRATIONS.length)
      throw new DomainError(
        'unavailable',
        `${path} has schema ${schema}, this program's is ${MIGRATIONS.length}`,
        {
          details: { hint: 'bring it up to date first: batuta migrate' },
        },
      );
    return guarded(() => {
      database.exec('BEGIN');
      return {
        count: table => number(`SELECT count(*) FROM ${table}`),
        *rows(table) {
          const fields = TRANSFER_FIELDS[table].map(field => `"${field}"`).join(', ');
          try {
            const found = database.prepare(`SELECT ${fields} FROM ${table}`).iterate();
            for (const row of found) yield row as TransferRow;
          } catch (error) {
            throw storeError(error);
          }
        },
        next: nextNumbers(number),
        close: () => database.close(),
      };
    });
  } catch (error) {
    database.close();
    throw error;
  }
}

function nextNumbers(number: (sql: string) => number): TransferSource['next'] {
  const entries = Object.entries(SEQUENCES).map(([name, sequence]) => {
    const {
      column,
      table = name,
      reserved = name,
    }: { column: string; table?: string; reserved?: string } = sequence;
    const used = number(`SELECT coalesce(max(${column}), 0) + 1 FROM ${table}`);
    return [name, Math.max(used, number(`SELECT reserved FROM sequence WHERE name = '${reserved}'`), 1)];
  });
  return Object.fromEntries(entries) as TransferSource['next'];
}
