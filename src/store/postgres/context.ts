// What all rooms of the driver share: the database, whose clock counts, and what to tell the other processes.

import { createHash } from 'node:crypto';
import type { TaskKey } from '../../domain/ids.ts';
import type { InboxName } from '../../domain/message.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Answer, Database, Statement, Value } from './database.ts';

/** A task's place in its queue. */
export interface Place {
  readonly queue: number;
  readonly rank: number;
  readonly task: TaskKey;
}

/** What one statement changed that other processes may wait for. */
export interface News {
  readonly tasks?: readonly TaskKey[];
  readonly ready?: readonly Place[];
  /** A timer or delivery was set. */
  readonly due?: boolean;
  /** Kinds of documents. */
  readonly documents?: readonly string[];
  /** Inboxes with something to take. */
  readonly mail?: readonly InboxName[];
}

/** One open database. */
export class Context {
  readonly database: Database;
  readonly #clock: Clock | null;
  readonly #tell: (news: News) => void;
  readonly #underWay = new Set<Promise<unknown>>();

  /** With a clock its instants are sent along; without, the database's own count. */
  constructor(database: Database, clock: Clock | null, tell: (news: News) => void) {
    this.database = database;
    this.#clock = clock;
    this.#tell = tell;
  }

  /** The instant to give a statement: null leaves it to the database. */
  get given(): number | null {
    return this.#clock?.now() ?? null;
  }

  /** Tells the other processes, some time soon. */
  tell(news: News): void {
    this.#tell(news);
  }

  /** Runs a write that later reads of this process must see, even those asked before it is answered. */
  write<Result>(work: () => Promise<Result>): Promise<Result> {
    const underWay = work();
    this.#underWay.add(underWay);
    const forget = (): boolean => this.#underWay.delete(underWay);
    underWay.then(forget, forget);
    return underWay;
  }

  /** Asks for rows, once all writes asked before are done. */
  async read<Row extends object>(statement: Statement, values: readonly Value[]): Promise<readonly Row[]> {
    if (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
    return this.glance<Row>(statement, values);
  }

  /** Lets what is under way end, then closes. */
  async stop(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    await this.database.stop();
  }

  /** Asks for rows at once, whatever writes are under way. */
  async glance<Row extends object>(statement: Statement, values: readonly Value[]): Promise<readonly Row[]> {
    const { rows } = await this.database.ask<Row>(statement, values);
    return rows;
  }

  /** Asks for rows at once and only once: whoever asks how the database is wants no patience. */
  async probe<Row extends object>(statement: Statement, values: readonly Value[]): Promise<readonly Row[]> {
    const { rows } = await this.database.ask<Row>(statement, values, { patient: false });
    return rows;
  }

  /** Runs one of the verbs that everything waits for. */
  hot<Row extends object>(statement: Statement, values: readonly Value[]): Promise<Answer<Row>> {
    return this.database.ask<Row>(statement, values, { hot: true });
  }
}

/** A statement that only reads. */
export function reading(name: string, text: string): Statement {
  return { name, text, repeatable: true };
}

/** A statement that must not happen twice. */
export function writing(name: string, text: string): Statement {
  return { name, text, repeatable: false };
}

/** A statement that may happen twice and leave what once would. */
export function repeatable(name: string, text: string): Statement {
  return { name, text, repeatable: true };
}

/** Gathers the conditions of a query whose parts may be absent; equal shapes have equal text. */
export class Conditions {
  readonly values: Value[];
  readonly #parts: string[];

  constructor(first: string, ...values: readonly Value[]) {
    this.#parts = [first];
    this.values = [...values];
  }

  /** Adds a condition on a value, written `?` in it, where there is one. */
  add(condition: string, value: Value | undefined): this {
    if (value === undefined) return this;
    this.values.push(value);
    this.#parts.push(condition.replaceAll('?', `$${this.values.length}`));
    return this;
  }

  /** Adds a condition without a value. */
  and(condition: string): this {
    this.#parts.push(condition);
    return this;
  }

  /** The next parameter's name. */
  param(value: Value): string {
    this.values.push(value);
    return `$${this.values.length}`;
  }

  /** All of them. */
  get where(): string {
    return `WHERE ${this.#parts.join(' AND ')}`;
  }

  /** Names this shape among others of the same query, in few enough characters for the name of a prepared statement. */
  get shape(): string {
    return createHash('md5').update(this.where).digest('base64url').slice(0, 8);
  }
}
