// Messages: kept in the log, put into inboxes, taken from there by readers, and settled.

import type { TenantId } from '../../domain/ids.ts';
import type { InboxName } from '../../domain/message.ts';
import type {
  EntryRef,
  InboxDepth,
  MailPick,
  MailSettlement,
  MailStore,
  MailTerms,
  MailVerdict,
  NewEntry,
  NewMail,
  PostedEntry,
  PostOutcome,
  SettleOutcome,
  StoredMail,
  TakenMail,
} from '../mail.ts';
import { Boxes } from './boxes.ts';
import type { Connection, Prepared } from './connection.ts';
import { DeadLetters } from './dead-letters.ts';
import type { Entry } from './held.ts';
import { Inboxes, type WaitingEntry } from './inboxes.ts';
import { MailLog, positionOf } from './mail-log.ts';
import { EXPIRED, takeEntries } from './mail-take.ts';

/** Entries whose time has come that one take lets have their turn; the rest follow at the next. */
const RIPE_MAX = 256;

/** The messages of all tenants and where they wait. */
export class Mail {
  readonly log: MailLog;
  readonly dead: DeadLetters;
  readonly #connection: Connection;
  readonly #boxes: Boxes;
  readonly #inboxes: Inboxes;
  /** Inboxes in which something came due that no sweep has told of yet. */
  readonly #ripened = new Set<number>();
  readonly #verdict: Prepared<{ box: number; reader: string; outcome: string }>;
  readonly #keepVerdict: Prepared<object>;
  readonly #oldVerdicts: Prepared<object>;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.log = new MailLog(connection);
    this.#boxes = new Boxes(connection);
    this.#inboxes = new Inboxes(connection, this.#boxes);
    this.dead = new DeadLetters(connection, { boxes: this.#boxes, inboxes: this.#inboxes, log: this.log });
    this.#verdict = connection.prepare(
      'SELECT box, reader, outcome FROM mail_verdict WHERE entry = ? AND attempt = ?',
    );
    this.#keepVerdict = connection.prepare(
      'INSERT INTO mail_verdict (entry, attempt, box, reader, outcome, at) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#oldVerdicts = connection.prepare(
      `DELETE FROM mail_verdict WHERE (entry, attempt) IN
         (SELECT entry, attempt FROM mail_verdict WHERE at < ? ORDER BY at LIMIT +?)`,
    );
  }

  /** Keeps a message and puts it into its inboxes. */
  post(mail: NewMail): PostOutcome {
    const known = this.log.known(mail);
    if (known !== null) {
      if (known.status === 'same') this.#tell(mail);
      return { status: known.status, mail: known.mail };
    }
    const full = mail.entries.find(({ inbox }) => {
      const box = this.#boxes.find(mail.tenant, inbox);
      return box !== null && this.#boxes.entries(box.id) >= mail.inboxMax;
    });
    if (full !== undefined) return { status: 'full', inbox: full.inbox };
    const { position, stored } = this.log.append(mail);
    this.#tell(mail);
    return { status: 'stored', mail: stored, entries: this.#enter(mail, position) };
  }

  /** Puts a message kept before into a further inbox; null where there is or was such a copy, or no such message. */
  fanOut({ tenant, position, entry }: Parameters<MailStore['fanOut']>[0][number]): EntryRef | null {
    const mail = this.log.copy(tenant, positionOf(position), entry);
    if (mail === null) return null;
    return this.#put(entry, {
      tenant,
      position: mail.position,
      priority: mail.priority,
      expiresAt: mail.expires_at,
    });
  }

  /** Takes what waits, for a pick after the other. */
  take(picks: readonly MailPick[]): readonly (readonly TakenMail[])[] {
    for (const { box } of this.#inboxes.ripen(RIPE_MAX)) this.#ripened.add(box);
    return picks.map(pick => this.#takeOne(pick));
  }

  /** Applies a verdict, if it holds. */
  settle(settlement: MailSettlement): SettleOutcome {
    const { entry, attempt, reader, verdict, refusal, mail = [] } = settlement;
    const held = this.#inboxes.held.get(entry);
    const isHeld = held !== undefined && held.attempt === attempt && held.reader === reader;
    if (isHeld && !this.#isOf(settlement, held.box)) return { status: 'lost' };
    const before = isHeld ? undefined : this.#verdict.get(entry, attempt);
    if (before !== undefined) {
      const isRepeated =
        before.outcome === verdict.outcome && before.reader === reader && this.#isOf(settlement, before.box);
      return { status: isRepeated ? 'repeated' : 'lost' };
    }
    const found = isHeld ? held : this.#inboxes.returned(entry, attempt, reader);
    if (found === null || !this.#isOf(settlement, found.box)) return { status: 'lost' };
    const applied = this.#apply(found, reader, verdict);
    if (applied === 'lost') return { status: 'lost' };
    if (verdict.outcome !== 'extend')
      this.#keepVerdict.run(entry, attempt, found.box, reader, verdict.outcome, this.#connection.now);
    if (refusal !== undefined) this.log.refuse(found.mail, refusal);
    return { status: 'done', visibleUntil: applied, posted: mail.map(one => this.post(one)) };
  }

  /** Gives back what a reader holds, as if never delivered. */
  release(reader: string): void {
    for (const entry of this.#inboxes.held.ofReader(reader))
      this.#inboxes.putBack(entry, { attempt: entry.attempt - 1, notBefore: null, reader: null });
  }

  /** Does what time demands; see the port. */
  sweep(limit: number, deliveriesMax: number): Awaited<ReturnType<MailStore['sweep']>> {
    const { now } = this.#connection;
    const ready = new Set(this.#ripened);
    const overdue = this.#inboxes.held.overdue(now).slice(0, limit);
    for (const entry of overdue) {
      const { attempt, reader, box } = entry;
      if (attempt >= deliveriesMax) this.#dieOfDeliveries(entry);
      else this.#inboxes.putBack(entry, { attempt, notBefore: null, reader });
      // Where the first of a lane has died, the next may be taken.
      ready.add(box);
    }
    const ripe = this.#inboxes.ripen(limit);
    for (const { box } of ripe) ready.add(box);
    const expired = this.#inboxes.expired(limit);
    for (const entry of expired) this.dead.die(entry, 'expired', EXPIRED);
    const tried = this.#inboxes.tried(deliveriesMax, limit);
    for (const entry of tried) this.#dieOfDeliveries(entry);
    const counts = [overdue, ripe, expired, tried].map(({ length }) => length);
    const next = counts.every(count => count < limit) ? this.#inboxes.nextDueAt : now;
    this.#toldOf(ready);
    return {
      moved: counts.reduce((sum, count) => sum + count),
      ready: [...ready].map(id => this.#boxes.of(id)).map(({ tenant, name }) => ({ tenant, inbox: name })),
      nextDueInMs: next === null ? null : Math.max(0, next - now),
    };
  }

  /** How a tenant's inboxes stand. */
  depths(tenant: TenantId, names?: readonly InboxName[]): readonly InboxDepth[] {
    const among = names === undefined ? '' : 'AND b.name IN (SELECT value FROM json_each(?))';
    return this.#connection
      .prepare<InboxDepth>(
        `SELECT b.name AS inbox, sum(i.visible_until IS NULL) AS waiting, sum(i.visible_until IS NOT NULL) AS held,
           min(i.since) AS oldestAt
         FROM mail_box b JOIN inbox i ON i.box = b.id WHERE b.tenant = ? ${among} GROUP BY b.id ORDER BY b.name`,
      )
      .all(tenant, ...(names === undefined ? [] : [JSON.stringify(names)]))
      .map(row => ({ ...row }));
  }

  /** Deletes what is past its term. */
  purge(terms: MailTerms, limit: number): number {
    const { now } = this.#connection;
    return (
      this.dead.purge(now - terms.deadLettersMs, limit) +
      this.log.purge(now - terms.messagesMs, limit) +
      this.log.forgetNames(now - terms.namesMs, limit) +
      this.#oldVerdicts.run(now - terms.namesMs, limit).changes
    );
  }

  #takeOne({ tenant, inboxes, reader, limit, visibilityMs, replyTo }: MailPick): readonly TakenMail[] {
    const { now } = this.#connection;
    const visibleUntil = now + visibilityMs;
    const boxes = new Set<number>();
    for (const name of inboxes) {
      const box = this.#boxes.find(tenant, name);
      if (box !== null && this.#boxes.entries(box.id) > 0) boxes.add(box.id);
    }
    const taken = takeEntries(
      { tenant, boxes: [...boxes], replyTo, reader, limit, visibleUntil, now },
      { inboxes: this.#inboxes, dead: this.dead },
    );
    return taken.map(({ entry, attempt, box, cause, mail }) => ({
      ...{ entry, attempt, cause, visibleUntil },
      inbox: this.#boxes.of(box).name,
      mail: this.log.at(mail),
    }));
  }

  /** What a verdict makes of an entry: until when it is held now. */
  #apply(found: Entry | WaitingEntry, reader: string, verdict: MailVerdict): number | null | 'lost' {
    const { now } = this.#connection;
    switch (verdict.outcome) {
      case 'ack':
        this.#inboxes.remove(found);
        return null;
      case 'nack':
        this.#inboxes.putBack(found, { attempt: found.attempt, notBefore: now + verdict.delayMs, reader });
        return null;
      case 'bury':
        this.dead.die(found, verdict.reason, verdict.error);
        return null;
      case 'extend':
        return this.#extend(found, reader, now + verdict.visibilityMs);
    }
  }

  #extend(found: Entry | WaitingEntry, reader: string, visibleUntil: number): number | 'lost' {
    const held = this.#inboxes.held.get(found.entry);
    if (held !== undefined) {
      this.#inboxes.prolong(held, visibleUntil);
      return visibleUntil;
    }
    // It was held too long and put back, but to nobody else yet: it is this reader's again, if its lane is.
    const turn = this.#inboxes.held.turnOf(found.box, found.lane);
    if (turn !== '' && turn !== reader) return 'lost';
    this.#inboxes.hold({ turn: null, ...found }, { reader, visibleUntil, attempt: found.attempt });
    return visibleUntil;
  }

  #toldOf(boxes: ReadonlySet<number>): void {
    this.#ripened.clear();
    this.#connection.onRollback(() => {
      for (const box of boxes) this.#ripened.add(box);
    });
  }

  #dieOfDeliveries(entry: Entry): void {
    this.dead.die(entry, 'max_deliveries', `it was delivered ${entry.attempt} times and never settled`);
  }

  #isOf({ tenant, inboxes }: MailSettlement, id: number): boolean {
    const box = this.#boxes.of(id);
    return box.tenant === tenant && (inboxes === undefined || inboxes.includes(box.name));
  }

  #enter({ tenant, priority, expiresAt, entries }: NewMail, position: number): readonly PostedEntry[] {
    const copies = new Map<string, PostedEntry>();
    for (const entry of entries) {
      const name = JSON.stringify([entry.inbox, entry.cause ?? '']);
      if (copies.has(name)) continue;
      const ref = this.#put(entry, { tenant, position, priority, expiresAt });
      copies.set(name, { ...ref, inbox: entry.inbox, isHeld: entry.held !== undefined });
    }
    return [...copies.values()];
  }

  #put(
    entry: NewEntry,
    of: Pick<StoredMail, 'tenant' | 'priority' | 'expiresAt'> & { readonly position: number },
  ): EntryRef {
    return this.#inboxes.put({
      box: this.#boxes.named(of.tenant, entry.inbox).id,
      lane: entry.lane,
      priority: of.priority,
      mail: of.position,
      cause: entry.cause ?? null,
      expiresAt: of.expiresAt,
      notBefore: entry.notBefore ?? null,
      held: entry.held ?? null,
    });
  }

  #tell({ tellsOf }: NewMail): void {
    if (tellsOf !== undefined) this.dead.told([tellsOf]);
  }
}
