// The log of messages: all that were accepted, in order, and the names by which repeats of them are known.

import type { TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { MailQuery, MailStore, NewEntry, NewMail, StoredMail } from '../mail.ts';
import { accepted, type MailRow, storedOf } from '../mail-row.ts';
import type { Connection, Prepared, Value } from './connection.ts';
import { Remembered } from './remembered.ts';
import { Sequence } from './sequences.ts';

type Row = MailRow & { readonly addressed: string };

/** Pages of the log that one purge looks at, most of whose messages may have to stay. */
const PURGE_PAGES_MAX = 16;

/** Messages kept in memory, most of which are taken at once: how many, and how long each may be as text. */
const RECENT_MAX = 4_096;
const RECENT_LENGTH_MAX = 4_096;

/** The messages of all tenants. */
export class MailLog {
  readonly #connection: Connection;
  readonly #positions: Sequence;
  readonly #recent: Remembered<number, StoredMail>;
  /** Where the next purge looks: what lies before it was looked at and stays. */
  #purgedTo = 0;
  readonly #insert: Prepared<object>;
  readonly #get: Prepared<Row>;
  readonly #copy: Prepared<object>;
  readonly #refuse: Prepared<object>;
  readonly #blank: Prepared<object>;
  readonly #named: Prepared<{ fingerprint: string; mail: number }>;
  readonly #name: Prepared<object>;
  readonly #old: Prepared<{ position: number; isOld: number; stays: number }>;
  readonly #delete: Prepared<object>;
  readonly #deleteNames: Prepared<object>;
  readonly #deleteCopies: Prepared<object>;
  readonly #oldNames: Prepared<object>;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#positions = new Sequence(connection, 'mail');
    this.#recent = new Remembered(connection, RECENT_MAX);
    this.#insert = connection.prepare(
      `INSERT INTO mail (position, tenant, id, name, fingerprint, dialect, type, sender, correlation, reply_to, task_id,
         priority, expires_at, accepted_at, addressed, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#get = connection.prepare('SELECT * FROM mail WHERE position = ?');
    this.#copy = connection.prepare('INSERT OR IGNORE INTO mail_copy (mail, inbox, cause) VALUES (?, ?, ?)');
    this.#refuse = connection.prepare('UPDATE mail SET refusal = ? WHERE position = ? AND refusal IS NULL');
    this.#blank = connection.prepare('UPDATE mail SET content = ? WHERE position = ? AND tenant = ?');
    this.#named = connection.prepare('SELECT fingerprint, mail FROM mail_name WHERE name = ?');
    this.#name = connection.prepare(
      'INSERT INTO mail_name (name, fingerprint, mail, at) VALUES (?, ?, ?, ?)',
    );
    this.#old = connection.prepare(
      `SELECT position, accepted_at < ? AS isOld, EXISTS (SELECT 1 FROM inbox WHERE mail = position)
         OR EXISTS (SELECT 1 FROM dead_letter WHERE mail = position) AS stays
       FROM mail WHERE position > ? ORDER BY position LIMIT +?`,
    );
    this.#delete = connection.prepare('DELETE FROM mail WHERE position = ?');
    this.#deleteNames = connection.prepare('DELETE FROM mail_name WHERE mail = ?');
    this.#deleteCopies = connection.prepare('DELETE FROM mail_copy WHERE mail = ?');
    this.#oldNames = connection.prepare(
      `DELETE FROM mail_name WHERE name IN (
         SELECT name FROM (SELECT name, at FROM mail_name ORDER BY mail LIMIT +?) WHERE at < ?)`,
    );
  }

  /** The message that bears one of these names already, and whether it is the same by it. */
  known(
    mail: NewMail,
  ): { readonly status: 'same' | 'different'; readonly mail: StoredMail; readonly position: number } | null {
    const { name, fingerprint, aliases = [] } = mail;
    for (const one of [{ name, fingerprint }, ...aliases]) {
      const found = this.#named.get(one.name);
      if (found === undefined) continue;
      const status = found.fingerprint === one.fingerprint ? 'same' : 'different';
      return { status, mail: this.at(found.mail), position: found.mail };
    }
    return null;
  }

  /** Appends a message under all its names. */
  append(mail: NewMail): { readonly position: number; readonly stored: StoredMail } {
    const position = this.#positions.next();
    const { now } = this.#connection;
    const addressed = JSON.stringify(mail.entries.map(({ inbox, cause = '' }) => [inbox, cause]));
    const content = JSON.stringify(mail.content);
    this.#insert.run(
      ...[position, mail.tenant, mail.id, mail.name, mail.fingerprint, mail.dialect, mail.type, mail.from],
      ...[
        mail.correlationId,
        mail.replyTo,
        mail.taskId,
        mail.priority,
        mail.expiresAt,
        now,
        addressed,
        content,
      ],
    );
    this.#name.run(mail.name, mail.fingerprint, position, now);
    const names = new Set([mail.name]);
    for (const alias of mail.aliases ?? []) {
      if (names.has(alias.name)) continue;
      names.add(alias.name);
      this.#name.run(alias.name, alias.fingerprint, position, now);
    }
    const stored = accepted(mail, String(position), now);
    if (content.length <= RECENT_LENGTH_MAX) this.#recent.set(position, stored);
    return { position, stored };
  }

  /** Remembers a further copy of a message and answers that; null where there is no such message or has been such a copy. */
  copy(
    tenant: TenantId,
    position: number,
    { inbox, cause = '' }: Pick<NewEntry, 'inbox' | 'cause'>,
  ): Row | null {
    const row = this.#get.get(position);
    if (row === undefined || row.tenant !== tenant) return null;
    const addressed = JSON.parse(row.addressed) as readonly (readonly [string, string])[];
    if (addressed.some(([to, why]) => to === inbox && why === cause)) return null;
    return this.#copy.run(position, inbox, cause).changes === 1 ? row : null;
  }

  /** The message at a position; it must exist. */
  at(position: number): StoredMail {
    const mail = this.find(position);
    if (mail === null) throw new Error(`there is no message ${position}`);
    return mail;
  }

  /** The message at a position. */
  find(position: number): StoredMail | null {
    const recent = this.#recent.get(position);
    if (recent !== undefined) return recent;
    const row = this.#get.get(position);
    return row === undefined ? null : storedOf(row, String(row.position));
  }

  /** Keeps why its receiver refused a message, the first time, and lets others have its names. */
  refuse(position: number, refusal: JsonObject): void {
    this.#recent.delete(position);
    this.#refuse.run(JSON.stringify(refusal), position);
    this.#deleteNames.run(position);
  }

  /** Puts other content in the place of what messages say; answers how many there were. */
  blank(tenant: TenantId, mail: Parameters<MailStore['blank']>[1]): number {
    let blanked = 0;
    for (const { position, content } of mail) {
      this.#recent.delete(positionOf(position));
      blanked += this.#blank.run(JSON.stringify(content), positionOf(position), tenant).changes;
    }
    return blanked;
  }

  /** A tenant's messages that match. */
  list(query: MailQuery): readonly StoredMail[] {
    const conditions = ['tenant = ?'];
    const values: Value[] = [query.tenant];
    const add = (condition: string, value: Value | undefined): void => {
      if (value === undefined) return;
      conditions.push(condition);
      values.push(value);
    };
    add(
      'id IN (SELECT value FROM json_each(?))',
      query.ids === undefined ? undefined : JSON.stringify(query.ids),
    );
    add('correlation = ?', query.correlationId);
    add('reply_to = ?', query.replyTo);
    add('task_id = ?', query.taskId);
    add('dialect = ?', query.dialect);
    add('type = ?', query.type);
    add('position > ?', query.after === undefined ? undefined : positionOf(query.after));
    const order = query.newestFirst === true ? 'DESC' : 'ASC';
    return this.#connection
      .prepare<MailRow>(
        `SELECT * FROM mail WHERE ${conditions.join(' AND ')} ORDER BY position ${order} LIMIT +?`,
      )
      .all(...values, query.limit)
      .map(row => storedOf(row, String(row.position)));
  }

  /** Deletes messages accepted before an instant with their names, but those that somebody may still be given; answers how many. */
  purge(before: number, limit: number): number {
    const from = this.#purgedTo;
    this.#connection.onRollback(() => {
      this.#purgedTo = from;
    });
    let deleted = 0;
    for (let pages = 0; pages < PURGE_PAGES_MAX && deleted < limit; pages++) {
      const page = this.#old.all(before, this.#purgedTo, limit - deleted);
      for (const { position, isOld, stays } of page) {
        if (isOld === 0) {
          this.#purgedTo = 0;
          return deleted;
        }
        this.#purgedTo = position;
        if (stays === 1) continue;
        this.#recent.delete(position);
        for (const statement of [this.#delete, this.#deleteNames, this.#deleteCopies])
          statement.run(position);
        deleted += 1;
      }
      if (page.length === 0) {
        this.#purgedTo = 0;
        return deleted;
      }
    }
    return deleted;
  }

  /** Forgets names given before an instant; answers how many. */
  forgetNames(before: number, limit: number): number {
    return this.#oldNames.run(limit, before).changes;
  }
}

/** The row of a position; what is none is before all. */
export function positionOf(text: string): number {
  return /^\d{1,15}$/.test(text) ? Number(text) : 0;
}
