// That a transfer leaves no column of either schema behind: whoever adds one is told here.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import pg from 'pg';
import { freshDatabase, postgresMissing } from '../../test/postgres.ts';
import { openPostgres } from './postgres/open.ts';
import { openSqlite } from './sqlite/open.ts';
import { TRANSFER_FIELDS } from './transfer.ts';

describe('a transfer', { skip: postgresMissing }, () => {
  test('every column of either schema moves, or is made anew on purpose', async t => {
    const folder = mkdtempSync(join(tmpdir(), 'batuta-columns-'));
    const path = join(folder, 'batuta.db');
    const { url, drop } = await freshDatabase();
    await (await openSqlite({ path, auditKey: 'k' })).stop();
    await (await openPostgres({ url, auditKey: 'k' })).stop();
    const made: Readonly<Record<string, readonly string[]>> = {
      // The plan stands in the task's order; needs and starts are made of it.
      task: ['notification', 'starts', 'memory_mb', 'cpu_cores', 'disk_mb', 'network_mbps', 'txn', 'user_id'],
      queue: ['name'],
      log: ['folded'],
      ...{
        lease: ['txn'],
        event: ['txn'],
        delivery: ['next_at'],
        mail: ['txn'],
        // Which inboxes the next sweep tells of: hints.
        mail_due: ['box'],
        meta: ['one', 'schema', 'min_program', 'txn_base', 'home'],
      },
      // Counted anew; reserved numbers go to the sequences.
      ...{ waiting: ['tenant', 'slot', 'tasks'], ended: ['at', 'task'], sequence: ['name', 'reserved'] },
    };
    const fields: Readonly<Record<string, readonly string[]>> = TRANSFER_FIELDS;
    const stray = (table: string, column: string): boolean =>
      fields[table]?.includes(column) !== true && made[table]?.includes(column) !== true;
    const database = new DatabaseSync(path);
    const here = database
      .prepare(`SELECT m.name AS "table", c.name AS "column" FROM sqlite_schema m, pragma_table_info(m.name) c
        WHERE m.type = 'table'`)
      .all();
    database.close();
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    t.after(async () => {
      await client.end();
      await drop();
      rmSync(folder, { recursive: true });
    });
    const there = await client.query(
      `SELECT table_name AS "table", column_name AS "column" FROM information_schema.columns
       WHERE table_schema = 'batuta' AND table_name !~ '^(event_|blob)' AND table_name IN
         (SELECT relname FROM pg_class WHERE relkind IN ('r', 'p'))`,
    );
    assert.ok(here.length > 50 && there.rows.length > 50);
    const strays = [...here, ...there.rows].filter(row => stray(String(row.table), String(row.column)));
    assert.deepEqual(strays, []);
  });
});
