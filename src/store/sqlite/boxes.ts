// Names of inboxes, each known by a number in the rows, and how many entries each has.

import type { TenantId } from '../../domain/ids.ts';
import type { InboxName } from '../../domain/message.ts';
import type { Connection, Prepared } from './connection.ts';
import { Sequence } from './sequences.ts';

/** An inbox by its name. */
export interface Box {
  readonly id: number;
  readonly tenant: TenantId;
  readonly name: InboxName;
}

/** Names kept in memory at most; with more all are looked up anew. */
const NAMES_MAX = 20_000;

/** The inboxes of all tenants. */
export class Boxes {
  readonly #connection: Connection;
  readonly #ids: Sequence;
  readonly #byName = new Map<string, Box>();
  readonly #byId = new Map<number, Box>();
  readonly #counts = new Map<number, number>();
  readonly #find: Prepared<Box>;
  readonly #get: Prepared<Box>;
  readonly #insert: Prepared<object>;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#ids = new Sequence(connection, 'mail_box');
    this.#find = connection.prepare('SELECT id, tenant, name FROM mail_box WHERE tenant = ? AND name = ?');
    this.#get = connection.prepare('SELECT id, tenant, name FROM mail_box WHERE id = ?');
    this.#insert = connection.prepare('INSERT INTO mail_box (id, tenant, name) VALUES (?, ?, ?)');
    const counts = connection.prepare<{ box: number; entries: number }>(
      'SELECT box, count(*) AS entries FROM inbox GROUP BY box',
    );
    for (const { box, entries } of counts.all()) this.#counts.set(box, entries);
  }

  /** The inbox of that name, if anything was ever put into it. */
  find(tenant: TenantId, name: InboxName): Box | null {
    const known = this.#byName.get(`${tenant}\n${name}`) ?? this.#find.get(tenant, name);
    return known === undefined ? null : this.#remember(known);
  }

  /** The inbox of that name. */
  named(tenant: TenantId, name: InboxName): Box {
    const known = this.find(tenant, name);
    if (known !== null) return known;
    const made = { id: this.#ids.next(), tenant, name };
    this.#insert.run(made.id, tenant, name);
    this.#connection.onRollback(() => {
      this.#byName.delete(`${tenant}\n${name}`);
      this.#byId.delete(made.id);
    });
    return this.#remember(made);
  }

  /** The inbox of an entry. */
  of(id: number): Box {
    const box = this.#byId.get(id) ?? this.#get.get(id);
    if (box === undefined) throw new Error(`there is no inbox ${id}`);
    return this.#remember(box);
  }

  /** How many entries it has, held ones included. */
  entries(id: number): number {
    return this.#counts.get(id) ?? 0;
  }

  /** Counts an entry more or less. */
  count(id: number, difference: 1 | -1): void {
    this.#connection.count(this.#counts, id, difference);
    if (this.#counts.get(id) !== 0) return;
    this.#counts.delete(id);
  }

  #remember(box: Box): Box {
    if (this.#byId.has(box.id)) return box;
    if (this.#byId.size >= NAMES_MAX) {
      this.#byId.clear();
      this.#byName.clear();
    }
    this.#byId.set(box.id, box);
    this.#byName.set(`${box.tenant}\n${box.name}`, box);
    return box;
  }
}
