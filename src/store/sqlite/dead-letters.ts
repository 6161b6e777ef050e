// What nobody will get: messages that died in an inbox, and what was refused before it was a message.

import type { TenantId } from '../../domain/ids.ts';
import type { DeadReason } from '../../domain/message.ts';
import type { DeadLetter, DeadLetterQuery, MailStore, NewDeadLetter } from '../mail.ts';
import { type DeadLetterRow, letterOf } from '../mail-row.ts';
import type { Boxes } from './boxes.ts';
import type { Connection, Prepared, Value } from './connection.ts';
import type { Entry } from './held.ts';
import type { Inboxes } from './inboxes.ts';
import type { MailLog } from './mail-log.ts';
import { Sequence } from './sequences.ts';

type Row = DeadLetterRow & {
  readonly mail: number | null;
  readonly lane: string;
  readonly cause: string | null;
};

/** The dead letters of all tenants. */
export class DeadLetters {
  readonly #connection: Connection;
  readonly #rooms: { readonly boxes: Boxes; readonly inboxes: Inboxes; readonly log: MailLog };
  readonly #ids: Sequence;
  readonly #keepEntry: Prepared<object>;
  readonly #keepRaw: Prepared<object>;
  readonly #untold: Prepared<Row>;
  readonly #tell: Prepared<object>;
  readonly #get: Prepared<Row>;
  readonly #delete: Prepared<object>;
  readonly #old: Prepared<object>;

  constructor(
    connection: Connection,
    rooms: { readonly boxes: Boxes; readonly inboxes: Inboxes; readonly log: MailLog },
  ) {
    this.#connection = connection;
    this.#rooms = rooms;
    this.#ids = new Sequence(connection, 'dead_letter');
    this.#keepEntry = connection.prepare(
      `INSERT INTO dead_letter (id, tenant, dialect, inbox, lane, cause, reason, error, mail, sender, attempts, died_at, told)
       SELECT ?, tenant, dialect, ?, ?, ?, ?, ?, position, sender, ?, ?, 0 FROM mail WHERE position = ?`,
    );
    this.#keepRaw = connection.prepare(
      `INSERT INTO dead_letter (id, tenant, dialect, reason, error, raw, sender, attempts, died_at, told)
       VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, 0)`,
    );
    this.#untold = connection.prepare(
      'SELECT * FROM dead_letter WHERE told = 0 AND mail IS NOT NULL ORDER BY id LIMIT +?',
    );
    this.#tell = connection.prepare('UPDATE dead_letter SET told = 1 WHERE id = ?');
    this.#get = connection.prepare('SELECT * FROM dead_letter WHERE id = ? AND tenant = ?');
    this.#delete = connection.prepare('DELETE FROM dead_letter WHERE id = ? AND tenant = ?');
    // Their order of dying is that of their ids.
    this.#old = connection.prepare(
      `DELETE FROM dead_letter WHERE id IN (
         SELECT id FROM (SELECT id, died_at FROM dead_letter ORDER BY id LIMIT +?) WHERE died_at < ?)`,
    );
  }

  /** Makes an entry of an inbox a dead letter. */
  die(entry: Entry, reason: DeadReason, error: string): void {
    const { name } = this.#rooms.boxes.of(entry.box);
    this.#keepEntry.run(
      ...[this.#ids.next(), name, entry.lane, entry.cause, reason, error, entry.attempt],
      ...[this.#connection.now, entry.mail],
    );
    this.#rooms.inboxes.remove(entry);
  }

  /** Keeps what was refused. */
  bury(letters: readonly NewDeadLetter[]): void {
    for (const { tenant, dialect, reason, error, raw, sender } of letters)
      this.#keepRaw.run(this.#ids.next(), tenant, dialect, reason, error, raw, sender, this.#connection.now);
  }

  /** A tenant's dead letters that match, oldest first. */
  list(query: DeadLetterQuery): readonly DeadLetter[] {
    const conditions = ['tenant = ?'];
    const values: Value[] = [query.tenant];
    const add = (condition: string, value: Value | undefined): void => {
      if (value === undefined) return;
      conditions.push(condition);
      values.push(value);
    };
    const among = (column: string): string => `${column} IN (SELECT value FROM json_each(?))`;
    add('dialect = ?', query.dialect);
    add(among('id'), query.ids === undefined ? undefined : JSON.stringify(query.ids));
    add(among('inbox'), query.inboxes === undefined ? undefined : JSON.stringify(query.inboxes));
    add('reason = ?', query.reason);
    add('died_at >= ?', query.since);
    add('id > ?', query.after);
    return this.#connection
      .prepare<Row>(`SELECT * FROM dead_letter WHERE ${conditions.join(' AND ')} ORDER BY id LIMIT +?`)
      .all(...values, query.limit)
      .map(row => this.#letterOf(row));
  }

  /** How many a tenant has, by wire and reason. */
  counts(tenant: TenantId): Awaited<ReturnType<MailStore['deadCounts']>> {
    return this.#connection
      .prepare<{ dialect: string; reason: DeadReason; count: number }>(
        'SELECT dialect, reason, count(*) AS count FROM dead_letter WHERE tenant = ? GROUP BY 1, 2 ORDER BY 1, 2',
      )
      .all(tenant)
      .map(row => ({ ...row }));
  }

  /** Dead letters with a message whose sender was not told yet. */
  untold(limit: number): readonly DeadLetter[] {
    return this.#untold.all(limit).map(row => this.#letterOf(row));
  }

  /** Marks dead letters as told. */
  told(ids: readonly number[]): void {
    for (const id of ids) this.#tell.run(id);
  }

  /** Puts dead letters back into their inboxes; an expiry that is past no longer counts, or they would die again at once. */
  replay(tenant: TenantId, ids: readonly number[]): readonly number[] {
    const { boxes, inboxes, log } = this.#rooms;
    return ids.filter(id => {
      const letter = this.#get.get(id, tenant);
      if (letter === undefined || letter.mail === null || letter.inbox === null) return false;
      const { priority, expiresAt } = log.at(letter.mail);
      inboxes.put({
        box: boxes.named(tenant, letter.inbox).id,
        lane: letter.lane,
        priority,
        mail: letter.mail,
        cause: letter.cause,
        expiresAt: expiresAt !== null && expiresAt > this.#connection.now ? expiresAt : null,
        notBefore: null,
        held: null,
      });
      return this.#delete.run(id, tenant).changes === 1;
    });
  }

  /** Forgets dead letters. */
  drop(tenant: TenantId, ids: readonly number[]): readonly number[] {
    return ids.filter(id => this.#delete.run(id, tenant).changes === 1);
  }

  /** Forgets what died before an instant; answers how many. */
  purge(before: number, limit: number): number {
    return this.#old.run(limit, before).changes;
  }

  #letterOf(row: Row): DeadLetter {
    return letterOf(row, row.mail === null ? null : this.#rooms.log.at(row.mail));
  }
}
