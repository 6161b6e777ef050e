// Reading the log of messages. It is in order of transactions and shown only below every one under way, so that no reader passes one
// by that commits late; whoever asks for a message by its id gets it at once.

import type { TenantId } from '../../domain/ids.ts';
import type { MailQuery, MailStore, StoredMail } from '../mail.ts';
import { Conditions, type Context, reading, repeatable } from './context.ts';
import { type PlacedRow, placedOf, placeOf } from './mail-pack.ts';
import { plain } from './records.ts';

const AT = reading('mail at', 'SELECT * FROM batuta.mail WHERE position = ANY ($1::bigint[])');

const BLANK = repeatable(
  'blank mail',
  `WITH done AS (UPDATE batuta.mail m SET content = b.content
     FROM json_to_recordset($2::json) b(position bigint, content text) WHERE m.position = b.position AND m.tenant = $1 RETURNING 1)
   SELECT count(*) AS many FROM done`,
);

/** The messages of all tenants. */
export class MailLog {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  /** Messages by where they are. */
  async at(positions: readonly number[]): Promise<ReadonlyMap<number, StoredMail>> {
    if (positions.length === 0) return new Map();
    const rows = await this.#context.glance<PlacedRow>(AT, [positions]);
    return new Map(rows.map(row => [row.position, placedOf(row)]));
  }

  /** Puts other content in the place of what messages say; answers how many there were. */
  async blank(tenant: TenantId, mail: Parameters<MailStore['blank']>[1]): Promise<number> {
    const packed = mail.map(({ position, content }) => ({
      position: placeOf(position).position,
      content: JSON.stringify(content),
    }));
    const { rows } = await this.#context.write(() =>
      this.#context.database.ask<{ many: number }>(BLANK, [plain(tenant), JSON.stringify(packed)]),
    );
    return Number(rows[0]?.many ?? 0);
  }

  /** A tenant's messages that match. */
  async list(query: MailQuery): Promise<readonly StoredMail[]> {
    const conditions = new Conditions('tenant = $1', plain(query.tenant))
      .add('id = ANY (?::text[])', query.ids?.map(plain))
      .add('correlation = ?', query.correlationId === undefined ? undefined : plain(query.correlationId))
      .add('reply_to = ?', query.replyTo === undefined ? undefined : plain(query.replyTo))
      .add('task_id = ?', query.taskId === undefined ? undefined : plain(query.taskId))
      .add('dialect = ?', query.dialect === undefined ? undefined : plain(query.dialect))
      .add('type = ?', query.type === undefined ? undefined : plain(query.type));
    if (query.ids === undefined) conditions.and('txn < batuta.settled_txn()');
    if (query.after !== undefined) {
      const { txn, position } = placeOf(query.after);
      conditions.and(`(txn, position) > (${conditions.param(txn)}, ${conditions.param(position)})`);
    }
    const order = query.newestFirst === true ? 'DESC' : 'ASC';
    const { shape, where } = conditions;
    const statement = reading(
      `mail ${order} ${shape}`,
      `SELECT * FROM batuta.mail ${where} ORDER BY txn ${order}, position ${order} LIMIT ${conditions.param(query.limit)}`,
    );
    return (await this.#context.read<PlacedRow>(statement, conditions.values)).map(placedOf);
  }
}
