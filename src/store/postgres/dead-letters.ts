// What nobody will get: messages that died in an inbox, and what was refused before it was a message.

import type { TenantId } from '../../domain/ids.ts';
import type { InboxName } from '../../domain/message.ts';
import type { DeadLetter, DeadLetterQuery, MailStore, NewDeadLetter } from '../mail.ts';
import { type DeadLetterRow, letterOf } from '../mail-row.ts';
import { Conditions, type Context, reading, repeatable, writing } from './context.ts';
import { MailLog } from './mail-log.ts';
import { plain } from './records.ts';

type Row = DeadLetterRow & { readonly mail: number | null };

const BURY = writing(
  'bury mail',
  `INSERT INTO batuta.dead_letter (tenant, dialect, reason, error, raw, sender, attempts, died_at)
   SELECT tenant, dialect, reason, error, raw, sender, 0, batuta.moment($2) FROM json_to_recordset($1)
     d(tenant text, dialect text, reason text, error text, raw text, sender text)`,
);
const COUNTS = reading(
  'dead letters counted',
  `SELECT dialect, reason, count(*)::integer AS count FROM batuta.dead_letter WHERE tenant = $1
   GROUP BY dialect, reason ORDER BY dialect, reason`,
);
const UNTOLD = reading(
  'untold dead letters',
  'SELECT * FROM batuta.dead_letter WHERE NOT told AND mail IS NOT NULL ORDER BY id LIMIT $1',
);
const TOLD = repeatable(
  'told dead letters',
  'UPDATE batuta.dead_letter SET told = true WHERE id = ANY ($1::bigint[])',
);
const REPLAY = writing('replay mail', 'SELECT * FROM batuta.replay_mail($1, $2, $3)');
const DROP = writing(
  'drop dead letters',
  'DELETE FROM batuta.dead_letter WHERE tenant = $1 AND id = ANY ($2::bigint[]) RETURNING id',
);

/** The dead letters of all tenants. */
export class DeadLetters {
  readonly #context: Context;
  readonly #log: MailLog;

  constructor(context: Context) {
    this.#context = context;
    this.#log = new MailLog(context);
  }

  /** Keeps what was refused. */
  async bury(letters: readonly NewDeadLetter[]): Promise<void> {
    const packed = letters.map(({ tenant, dialect, reason, error, raw, sender }) => ({
      ...{ tenant: plain(tenant), dialect: plain(dialect), reason, error: plain(error), raw: plain(raw) },
      sender: plain(sender),
    }));
    await this.#ask(BURY, [JSON.stringify(packed), this.#context.given]);
  }

  /** A tenant's dead letters that match, oldest first. */
  async list(query: DeadLetterQuery): Promise<readonly DeadLetter[]> {
    const conditions = new Conditions('tenant = $1', plain(query.tenant))
      .add('dialect = ?', query.dialect === undefined ? undefined : plain(query.dialect))
      .add('id = ANY (?::bigint[])', query.ids)
      .add('inbox = ANY (?::text[])', query.inboxes?.map(plain))
      .add('reason = ?', query.reason)
      .add('died_at >= ?', query.since)
      .add('id > ?', query.after);
    const { shape, where } = conditions;
    const statement = reading(
      `dead letters ${shape}`,
      `SELECT * FROM batuta.dead_letter ${where} ORDER BY id LIMIT ${conditions.param(query.limit)}`,
    );
    return this.#lettersOf(await this.#context.read<Row>(statement, conditions.values));
  }

  /** How many a tenant has, by wire and reason. */
  counts(tenant: TenantId): ReturnType<MailStore['deadCounts']> {
    return this.#context.read(COUNTS, [plain(tenant)]);
  }

  /** Dead letters with a message whose sender was not told yet. */
  async untold(limit: number): Promise<readonly DeadLetter[]> {
    return this.#lettersOf(await this.#context.read<Row>(UNTOLD, [limit]));
  }

  /** Marks dead letters as told. */
  async told(ids: readonly number[]): Promise<void> {
    await this.#ask(TOLD, [ids]);
  }

  /** Puts dead letters back into their inboxes. */
  async replay(tenant: TenantId, ids: readonly number[]): Promise<readonly number[]> {
    const rows = await this.#ask<{ id: number; inbox: InboxName }>(REPLAY, [
      plain(tenant),
      ids,
      this.#context.given,
    ]);
    this.#context.tell({ mail: rows.map(({ inbox }) => inbox) });
    return rows.map(({ id }) => id);
  }

  /** Forgets dead letters. */
  async drop(tenant: TenantId, ids: readonly number[]): Promise<readonly number[]> {
    const gone = new Set((await this.#ask<{ id: number }>(DROP, [plain(tenant), ids])).map(({ id }) => id));
    return ids.filter(id => gone.delete(id));
  }

  async #ask<Row extends object>(
    ...[statement, values]: Parameters<Context['glance']>
  ): Promise<readonly Row[]> {
    const { rows } = await this.#context.write(() => this.#context.database.ask<Row>(statement, values));
    return rows;
  }

  async #lettersOf(rows: readonly Row[]): Promise<readonly DeadLetter[]> {
    const mail = await this.#log.at(rows.flatMap(row => row.mail ?? []));
    return rows.map(row => letterOf(row, row.mail === null ? null : (mail.get(row.mail) ?? null)));
  }
}
