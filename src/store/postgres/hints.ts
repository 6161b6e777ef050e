// What processes tell each other over LISTEN and NOTIFY: hints, gathered while the last one is on its way. They go as statements
// of their own, never inside a transaction that writes: at its commit a notifying transaction keeps out all others that notify,
// flush included. A hint may be lost; polling is the truth.

import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { TaskKey } from '../../domain/ids.ts';
import type { InboxName } from '../../domain/message.ts';
import { type Cancel, type Clock, systemClock } from '../../runtime/clock.ts';
import type { StoreHint } from '../rows.ts';
import { type News, type Place, writing } from './context.ts';
import { clientOptions, type Database, type DatabaseOptions } from './database.ts';

/** A hint on the wire; null where there was too much to tell. */
interface Message {
  readonly from: string;
  readonly tasks: readonly TaskKey[] | null;
  readonly ready: readonly (readonly [queue: number, rank: number, task: TaskKey])[] | null;
  readonly due: boolean;
  readonly documents: readonly string[];
  /** Absent from older programs. */
  readonly mail?: readonly InboxName[] | null;
}

const NOTIFY = writing('notify', `SELECT pg_notify('batuta', $1)`);
/** PostgreSQL takes 8,000 bytes. */
const MESSAGE_BYTES_MAX = 7_500;
const GATHER_MS = 2;
const PAUSE_MS_MAX = 5_000;

/** Something may have changed anywhere: what to assume after hints may have been lost. */
const ANYTHING: StoreHint = { tasks: null, ready: true, due: true, documents: null, mail: null };

/** Tells other processes what this one did, and listeners here what others did. */
export class Hints {
  readonly #database: Database;
  readonly #options: DatabaseOptions;
  readonly #clock: Clock = systemClock;
  readonly #self = randomUUID();
  readonly #listeners = new Set<(hint: StoreHint) => void>();
  readonly #onReady: (places: readonly Place[] | null) => void;
  #gathering: {
    tasks: Set<TaskKey>;
    ready: Map<number, Place>;
    due: boolean;
    documents: Set<string>;
    mail: Set<InboxName>;
  } | null = null;
  #client: pg.Client | null = null;
  #timer: Cancel | null = null;
  #stopped = false;

  /** `onReady` hears of tasks that others placed in line, null of too many to name. */
  constructor(
    database: Database,
    options: DatabaseOptions,
    onReady: (places: readonly Place[] | null) => void,
  ) {
    this.#database = database;
    this.#options = options;
    this.#onReady = onReady;
  }

  /** Calls back with what other processes did; answers how to stop that. */
  hear(listener: (hint: StoreHint) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Begins to listen, and does so again whenever the connection breaks. Behind a pooler there is no listening. */
  listen(): void {
    if (!this.#options.pooled) void this.#connect(0);
  }

  /** Tells the other processes, soon and together with what else there is to tell. */
  tell(news: News): void {
    const { tasks = [], ready = [], due = false, documents = [], mail = [] } = news;
    if (tasks.length + ready.length + documents.length + mail.length === 0 && !due) return;
    const isFirst = this.#gathering === null;
    this.#gathering ??= {
      ...{ tasks: new Set(), ready: new Map(), due: false, documents: new Set(), mail: new Set() },
    };
    for (const key of tasks) this.#gathering.tasks.add(key);
    for (const place of ready) {
      const foremost = this.#gathering.ready.get(place.queue);
      if (foremost === undefined || place.rank < foremost.rank) this.#gathering.ready.set(place.queue, place);
    }
    this.#gathering.due ||= due;
    for (const kind of documents) this.#gathering.documents.add(kind);
    for (const inbox of mail) this.#gathering.mail.add(inbox);
    if (isFirst) this.#clock.after(GATHER_MS, () => void this.#send());
  }

  /** Stops listening. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.();
    await this.#client?.end().catch(() => {});
  }

  async #send(): Promise<void> {
    const gathered = this.#gathering;
    this.#gathering = null;
    if (gathered === null || this.#stopped) return;
    const whole: Message = {
      from: this.#self,
      tasks: [...gathered.tasks],
      ready: [...gathered.ready.values()].map(({ queue, rank, task }) => [queue, rank, task]),
      due: gathered.due,
      documents: [...gathered.documents],
      mail: [...gathered.mail],
    };
    const terse = { ...whole, tasks: null, mail: null };
    const texts = [whole, { ...whole, tasks: null }, terse, { ...terse, ready: null }].map(message =>
      JSON.stringify(message),
    );
    const text =
      texts.find(one => Buffer.byteLength(one) <= MESSAGE_BYTES_MAX) ?? texts[texts.length - 1] ?? '';
    // Lost is lost: whoever it was for will poll.
    await this.#database.ask(NOTIFY, [text]).catch(() => {});
  }

  async #connect(failures: number): Promise<void> {
    const { query_timeout: _, ...options } = clientOptions(this.#options);
    const client = new pg.Client(options);
    let broken = false;
    let failuresBefore = failures;
    const again = (): void => {
      if (broken || this.#stopped) return;
      broken = true;
      this.#client = null;
      client.end().catch(() => {});
      const pauseMs = Math.min(PAUSE_MS_MAX, 50 * 2 ** failuresBefore);
      this.#timer = this.#clock.after(pauseMs, () => void this.#connect(failuresBefore + 1));
    };
    client.on('error', again);
    client.on('end', again);
    client.on('notification', ({ payload }) => this.#receive(payload ?? ''));
    try {
      await client.connect();
      await client.query('LISTEN batuta');
    } catch {
      again();
      return;
    }
    if (this.#stopped) {
      await client.end().catch(() => {});
      return;
    }
    this.#client = client;
    // A connection that held is made again at once should it break.
    failuresBefore = 0;
    if (failures > 0) this.#pass(ANYTHING, null);
  }

  #receive(payload: string): void {
    let message: Message;
    try {
      message = JSON.parse(payload) as Message;
      if (message.from === this.#self) return;
      const places = message.ready?.map(([queue, rank, task]) => ({ queue, rank, task })) ?? null;
      const { tasks, due, documents, mail = [] } = message;
      this.#pass({ tasks, ready: places === null || places.length > 0, due, documents, mail }, places);
    } catch {
      // Whoever else writes to this channel does not speak to us.
    }
  }

  #pass(hint: StoreHint, places: readonly Place[] | null): void {
    this.#onReady(places);
    for (const listener of this.#listeners) listener(hint);
  }
}
