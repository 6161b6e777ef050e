// Messages: kept in the log, put into inboxes, taken from there by readers, and settled, each verb gathered into one statement.

import type { TenantId } from '../../domain/ids.ts';
import type { InboxName } from '../../domain/message.ts';
import type {
  EntryRef,
  MailPick,
  MailSettlement,
  MailStore,
  MailTerms,
  NewMail,
  PostOutcome,
  SettleOutcome,
  TakenMail,
} from '../mail.ts';
import { byCall, gathered } from './calls.ts';
import { type Context, reading, repeatable, writing } from './context.ts';
import { DeadLetters } from './dead-letters.ts';
import { MailLog } from './mail-log.ts';
import {
  type Moment,
  outcomeOf,
  type PlacedRow,
  type PostedRow,
  packBoxes,
  packEntry,
  packMail,
  packSettlement,
  placedOf,
  placeOf,
  refOf,
} from './mail-pack.ts';
import { plain } from './records.ts';

type SettledRow = Moment & {
  readonly status: SettleOutcome['status'];
  readonly visible_until: number | null;
  readonly freed: InboxName | null;
  readonly posted: readonly PostedRow[];
};

type TakenRow = PlacedRow & {
  readonly pos: number;
  readonly entry: number;
  readonly attempt: number;
  readonly inbox: InboxName;
  readonly cause: string | null;
  readonly visible_until: number;
};

// What was posted by a try whose answer was lost is a repeat now, which its caller may take for another's.
const POST = writing('post mail', 'SELECT * FROM batuta.post_mail($1, $2, $3)');
const FAN_OUT = writing('fan out mail', 'SELECT e AS entry FROM batuta.fan_out_mail($1, $2, $3) e');
// What was taken and not heard of is overdue some time.
const TAKE = writing('take mail', 'SELECT pos, entry FROM batuta.take_mail($1, $2, $3)');
const TAKEN = reading(
  'taken mail',
  `SELECT w.pos, i.entry, i.attempt, i.cause, i.visible_until, b.name AS inbox, m.*
   FROM unnest($1::integer[], $2::bigint[]) WITH ORDINALITY w(pos, entry, place) JOIN batuta.inbox i ON i.entry = w.entry
   JOIN batuta.mail m ON m.position = i.mail JOIN batuta.mail_box b ON b.id = i.box
   WHERE i.visible_until IS NOT NULL ORDER BY w.place`,
);
const SETTLE = writing('settle mail', 'SELECT * FROM batuta.settle_mail($1, $2, $3)');
const RELEASE = writing('release mail', 'SELECT r AS inbox FROM batuta.release_mail($1, $2) r');
const SWEEP = repeatable('sweep mail', 'SELECT * FROM batuta.sweep_mail($1, $2, $3)');
const PURGE = repeatable('purge mail', 'SELECT * FROM batuta.purge_mail($1, $2, $3, $4, $5, $6, $7)');
const DEPTHS = reading(
  'depths of inboxes',
  `SELECT b.name AS inbox, count(*) FILTER (WHERE NOT i.is_held) AS waiting, count(*) FILTER (WHERE i.is_held) AS held,
     min(i.since) AS "oldestAt"
   FROM batuta.mail_box b, LATERAL (
     SELECT since, false AS is_held FROM batuta.inbox WHERE box = b.id AND visible_until IS NULL
     UNION ALL
     SELECT since, true FROM batuta.inbox WHERE box = b.id AND visible_until IS NOT NULL) i
   WHERE b.tenant = $1 AND ($2::text[] IS NULL OR b.name = ANY ($2)) GROUP BY b.id ORDER BY b.name`,
);

/** The part of a store that keeps messages. */
export function mailOf(context: Context): MailStore {
  const log = new MailLog(context);
  const dead = new DeadLetters(context);
  const mail = new Mail(context, log);
  return {
    post: list => mail.post(list),
    fanOut: copies => mail.fanOut(copies),
    take: picks => mail.take(picks),
    settle: settlements => mail.settle(settlements),
    release: reader => mail.release(reader),
    sweep: (limit, deliveriesMax) => mail.sweep(limit, deliveriesMax),
    mail: query => log.list(query),
    depths: (tenant, inboxes) =>
      context.read(DEPTHS, [plain(tenant), inboxes === undefined ? null : inboxes.map(plain)]),
    bury: letters => dead.bury(letters),
    deadLetters: query => dead.list(query),
    deadCounts: tenant => dead.counts(tenant),
    untold: limit => dead.untold(limit),
    told: ids => dead.told(ids),
    replay: (tenant, ids) => dead.replay(tenant, ids),
    drop: (tenant, ids) => dead.drop(tenant, ids),
    blank: (tenant, list) => log.blank(tenant, list),
    purge: (terms, limit) => mail.purge(terms, limit),
  };
}

class Mail {
  readonly #context: Context;
  readonly #log: MailLog;
  readonly #post: (mail: readonly NewMail[]) => Promise<readonly PostOutcome[]>;
  readonly #take: (picks: readonly MailPick[]) => Promise<readonly (readonly TakenMail[])[]>;
  readonly #settle: (settlements: readonly MailSettlement[]) => Promise<readonly SettleOutcome[]>;
  /** What lies before it was looked at by a purge and stays. */
  #purgedTo = { at: 0, position: 0 };

  constructor(context: Context, log: MailLog) {
    this.#context = context;
    this.#log = log;
    this.#post = gathered(async calls => byCall(calls, await this.#runPost(calls.flat())));
    this.#take = gathered(async calls => byCall(calls, await this.#runTake(calls.flat())));
    this.#settle = gathered(async calls => byCall(calls, await this.#runSettle(calls.flat())));
  }

  post(mail: readonly NewMail[]): Promise<readonly PostOutcome[]> {
    return this.#context.write(() => this.#post(mail));
  }

  take(picks: readonly MailPick[]): Promise<readonly (readonly TakenMail[])[]> {
    return this.#context.write(() => this.#take(picks));
  }

  settle(settlements: readonly MailSettlement[]): Promise<readonly SettleOutcome[]> {
    return this.#context.write(() => this.#settle(settlements));
  }

  async fanOut(copies: Parameters<MailStore['fanOut']>[0]): Promise<readonly (EntryRef | null)[]> {
    const boxes = copies.map(({ tenant, entry }) => ({ tenant: plain(tenant), name: plain(entry.inbox) }));
    const packed = copies.map(({ tenant, position, entry }) => ({
      tenant: plain(tenant),
      mail: placeOf(position).position,
      ...packEntry(entry),
    }));
    const rows = await this.#write<{ entry: number | null }>(FAN_OUT, [boxes, packed]);
    this.#tell(copies.map(({ entry }) => entry.inbox));
    return copies.map(({ entry }, index) => {
      const made = rows[index]?.entry ?? null;
      return made === null ? null : refOf(made, entry);
    });
  }

  async release(reader: string): Promise<void> {
    const { rows } = await this.#context.write(() =>
      this.#context.database.ask<{ inbox: InboxName }>(RELEASE, [plain(reader), this.#context.given]),
    );
    this.#tell(rows.map(({ inbox }) => inbox));
  }

  async sweep(limit: number, deliveriesMax: number): ReturnType<MailStore['sweep']> {
    type Row = {
      moved: number;
      ready: readonly { tenant: TenantId; inbox: InboxName }[];
      next_at: number | null;
      moment: number;
    };
    const { rows } = await this.#context.write(() =>
      this.#context.database.ask<Row>(SWEEP, [limit, deliveriesMax, this.#context.given]),
    );
    const [row] = rows;
    if (row === undefined) throw new Error('a sweep answers one row');
    const { moved, ready, next_at: next, moment } = row;
    this.#tell(ready.map(({ inbox }) => inbox));
    return { moved, ready, nextDueInMs: next === null ? null : Math.max(0, next - moment) };
  }

  async purge({ messagesMs, deadLettersMs, namesMs }: MailTerms, limit: number): Promise<number> {
    const { at, position } = this.#purgedTo;
    const { rows } = await this.#context.write(() =>
      this.#context.database.ask<{ deleted: number; to_at: number; to_position: number }>(PURGE, [
        ...[messagesMs, deadLettersMs, namesMs, at, position, limit],
        this.#context.given,
      ]),
    );
    const [row] = rows;
    if (row === undefined) throw new Error('a purge answers one row');
    this.#purgedTo = { at: row.to_at, position: row.to_position };
    return row.deleted;
  }

  async #runPost(mail: readonly NewMail[]): Promise<readonly PostOutcome[]> {
    const rows = await this.#hot<PostedRow & Moment>(POST, [packBoxes(mail), mail.map(packMail)]);
    const known = await this.#log.at(repeatsIn(rows));
    this.#tell(
      mail
        .flatMap(({ entries }, index) => (rows[index]?.status === 'stored' ? entries : []))
        .map(({ inbox }) => inbox),
    );
    return mail.map((one, index) => {
      const row = rows[index];
      if (row === undefined) throw new Error('each message must be answered');
      return outcomeOf(one, row, { moment: row, known });
    });
  }

  async #runTake(picks: readonly MailPick[]): Promise<readonly (readonly TakenMail[])[]> {
    const boxes = picks.flatMap(({ tenant, inboxes }) =>
      inboxes.map(name => ({ tenant: plain(tenant), name: plain(name) })),
    );
    const packed = picks.map(({ tenant, inboxes, reader, limit, visibilityMs, replyTo }, pos) => ({
      ...{ pos, tenant: plain(tenant), inboxes: inboxes.map(plain), reader: plain(reader) },
      ...{ most: limit, visible_ms: visibilityMs, reply_to: replyTo === null ? null : plain(replyTo) },
    }));
    const entries = await this.#hot<{ pos: number; entry: number }>(TAKE, [boxes, packed]);
    const taken: TakenMail[][] = picks.map(() => []);
    if (entries.length === 0) return taken;
    const values = [entries.map(({ pos }) => pos), entries.map(({ entry }) => entry)];
    const { rows } = await this.#context.hot<TakenRow>(TAKEN, values);
    for (const row of rows) taken[row.pos]?.push(takenOf(row));
    return taken;
  }

  async #runSettle(settlements: readonly MailSettlement[]): Promise<readonly SettleOutcome[]> {
    const follow = settlements.flatMap(({ mail = [] }) => mail);
    const rows = await this.#hot<SettledRow>(SETTLE, [packBoxes(follow), settlements.map(packSettlement)]);
    const known = await this.#log.at(repeatsIn(rows.flatMap(({ posted }) => posted)));
    this.#tell(rows.flatMap(({ freed }) => freed ?? []));
    this.#tell(
      settlements
        .flatMap(({ mail = [] }, index) =>
          mail.flatMap(({ entries }, at) => (rows[index]?.posted[at]?.status === 'stored' ? entries : [])),
        )
        .map(({ inbox }) => inbox),
    );
    return settlements.map(({ mail = [] }, index) => {
      const row = rows[index];
      if (row === undefined) throw new Error('each settlement must be answered');
      if (row.status !== 'done') return { status: row.status };
      const posted = row.posted.flatMap((one, at) => {
        const of = mail[at];
        return of === undefined ? [] : [outcomeOf(of, one, { moment: row, known })];
      });
      return { status: 'done', visibleUntil: row.visible_until, posted };
    });
  }

  async #hot<Row extends object>(
    statement: typeof POST,
    lists: readonly (readonly object[])[],
  ): Promise<readonly Row[]> {
    const values = [...lists.map(list => JSON.stringify(list)), this.#context.given];
    return (await this.#context.hot<Row>(statement, values)).rows;
  }

  #write<Row extends object>(
    statement: typeof POST,
    lists: readonly (readonly object[])[],
  ): Promise<readonly Row[]> {
    return this.#context.write(() => this.#hot<Row>(statement, lists));
  }

  #tell(inboxes: readonly InboxName[]): void {
    if (inboxes.length > 0) this.#context.tell({ mail: inboxes });
  }
}

function repeatsIn(rows: readonly PostedRow[]): readonly number[] {
  return rows.flatMap(({ status, mail }) =>
    mail !== null && (status === 'same' || status === 'different') ? [mail] : [],
  );
}

function takenOf(row: TakenRow): TakenMail {
  const { entry, attempt, inbox, cause, visible_until: visibleUntil } = row;
  return { entry, attempt, inbox, cause, visibleUntil, mail: placedOf(row) };
}
