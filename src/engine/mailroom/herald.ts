// Tells those who asked by message what becomes of their tasks: reads the log of each tenant that ever did, and has the task's wire word
// what it tells. One node does it; where it got to is kept, and a message told twice is the same message.

import { DomainError } from '../../domain/errors.ts';
import type { TaskEvent } from '../../domain/event.ts';
import { DEFAULT_TENANT, type TaskKey, type TenantId } from '../../domain/ids.ts';
import type { Draft, MessageId } from '../../domain/message.ts';
import type { Task } from '../../domain/task.ts';
import { type Clock, pause } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { MailStore } from '../../store/mail.ts';
import type { Store } from '../../store/store.ts';
import type { EngineApi } from '../api.ts';
import type { MessageWire } from '../ports/message-wire.ts';
import type { Release } from './release.ts';

/** What heralding needs. */
export interface HeraldParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly store: Pick<Store, 'documents' | 'putDocuments' | 'events' | 'read'>;
  readonly engine: Pick<EngineApi, 'changes'>;
  readonly wires: ReadonlyMap<string, MessageWire>;
  readonly mail: Pick<MailStore, 'bury'>;
  readonly say: (drafts: readonly Draft[]) => Promise<void>;
  readonly leads: () => boolean;
  /** Who may hold back what is told of a task's end. */
  readonly release: Pick<Release, 'passed'>;
}

const KIND = 'herald';
const BATCH = 500;
const RAW_MAX = 1_048_576;
const TRY_AGAIN_MS = 1_000;
/** So often a node looks for tenants that others began to follow, and whether the chores are its own. */
const LOOK_MS = 1_000;

interface Place {
  readonly cursor: string | null;
  readonly version: number;
}

/** One loop a tenant, on every node; only the one that does the chores tells. */
export class Herald {
  readonly #parts: HeraldParts;
  readonly #tenants = new Map<TenantId, Promise<void>>();
  readonly #stop = new AbortController();
  #looking: Promise<void> | null = null;

  constructor(parts: HeraldParts) {
    this.#parts = parts;
  }

  /** Follows the tenants followed before. */
  start(): void {
    this.#looking = this.#look();
  }

  /** Stops in the middle of whatever it tells; it is told again. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#looking, ...this.#tenants.values()]);
  }

  /** Resolves when the tenant's tasks are followed for ever, from its beginning. */
  async follow(tenant: TenantId): Promise<void> {
    if (this.#tenants.has(tenant)) return;
    await this.#parts.store.putDocuments([
      { tenant: DEFAULT_TENANT, kind: KIND, id: tenant, body: { cursor: null }, expected: 'absent' },
    ]);
    this.#begin(tenant);
  }

  #begin(tenant: TenantId): void {
    if (!this.#tenants.has(tenant)) this.#tenants.set(tenant, this.#follow(tenant));
  }

  async #look(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        for (const { id } of await this.#parts.store.documents({ kind: KIND, tenant: DEFAULT_TENANT }))
          this.#begin(id as TenantId);
      } catch (error) {
        this.#parts.log.warn('tenants to tell of their tasks could not be read', { error: String(error) });
      }
      await pause(this.#parts.clock, LOOK_MS * 5, signal).catch(() => {});
    }
  }

  async #follow(tenant: TenantId): Promise<void> {
    const { engine, clock, log } = this.#parts;
    const { signal } = this.#stop;
    for await (const _ of engine.changes(tenant, null, signal)) {
      while (!signal.aborted) {
        if (!this.#parts.leads()) {
          await pause(clock, LOOK_MS, signal).catch(() => {});
          continue;
        }
        try {
          await this.#tell(tenant);
          break;
        } catch (error) {
          log.warn('a tenant is told of its tasks later', { tenant, error: String(error) });
          await pause(clock, TRY_AGAIN_MS, signal).catch(() => {});
        }
      }
    }
  }

  async #tell(tenant: TenantId): Promise<void> {
    const { store } = this.#parts;
    const [found] = await store.documents({ kind: KIND, tenant: DEFAULT_TENANT, ids: [tenant] });
    if (found === undefined) return;
    let place: Place = { cursor: (found.body.cursor as string | null) ?? null, version: found.version };
    while (!this.#stop.signal.aborted) {
      const events = await store.events({ of: 'tenant', tenant, afterCursor: place.cursor, limit: BATCH });
      const last = events.at(-1);
      if (last === undefined) return;
      const tasks = await this.#tasksOf(tenant, events);
      const news = await this.#newsOf(events, tasks);
      if (news.length > 0) await this.#parts.say(news);
      const [outcome] = await store.putDocuments([
        {
          ...{ tenant: DEFAULT_TENANT, kind: KIND, id: tenant },
          ...{ body: { cursor: last.cursor }, expected: place.version },
        },
      ]);
      if (outcome?.status !== 'done') throw new DomainError('conflict', 'another node tells of these tasks');
      place = { cursor: last.cursor, version: outcome.version };
    }
  }

  /** The wire a task was asked for by; of one that was not asked for by message, those that tell of it all the same. */
  #wiresOf(task: Task): readonly MessageWire[] {
    const { wires } = this.#parts;
    const { origin } = task.spec;
    if (origin === undefined) return [...wires.values()].filter(wire => wire.tellsOf?.(task) === true);
    const wire = wires.get(origin.dialect);
    return wire === undefined ? [] : [wire];
  }

  /** What there is to say of events, in their order; of one task one event after the other, for wires may count them. */
  async #newsOf(
    events: Awaited<ReturnType<Store['events']>>,
    tasks: ReadonlyMap<TaskKey, Task>,
  ): Promise<readonly Draft[]> {
    const drafts = new Map<string, readonly Draft[]>();
    await Promise.all(
      [...Map.groupBy(events, ({ key }) => key)].map(async ([key, some]) => {
        const task = tasks.get(key);
        const wires = task === undefined ? [] : this.#wiresOf(task);
        if (task === undefined || wires.length === 0) return;
        for (const event of some) drafts.set(event.cursor, await this.#toldOf(task, event, wires));
      }),
    );
    return events.flatMap(({ cursor }) => drafts.get(cursor) ?? []);
  }

  async #toldOf(task: Task, event: TaskEvent, wires: readonly MessageWire[]): Promise<readonly Draft[]> {
    const passed = await this.#parts.release.passed(task, event);
    if (passed === null) return [];
    const told = await Promise.all(wires.map(wire => this.#wordedBy(wire, passed.task, passed.event)));
    return told.flat();
  }

  /** What a wire cannot word is a dead letter of its own, or it would hold up all that comes after it. */
  async #wordedBy(wire: MessageWire, task: Task, event: TaskEvent): Promise<readonly Draft[]> {
    try {
      return await wire.taskNews(task, event);
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== 'unprocessable') throw error;
      const { tenant, id: taskId, executionId, spec } = task;
      const { message } = error;
      const sender = 'system';
      const letter = { tenant, dialect: wire.name, reason: 'invalid', error: message, sender } as const;
      await this.#parts.mail.bury([{ ...letter, raw: JSON.stringify(event).slice(0, RAW_MAX) }]);
      const id = `news.${executionId}.${event.sequence}` as MessageId;
      const correlationId = spec.requester.correlationId ?? taskId;
      const lost = { tenant, id, type: event.kind, taskId, correlationId, traceId: spec.traceId };
      const alarm = wire.unrecoverable?.(lost, error) ?? null;
      return alarm === null ? [] : [alarm];
    }
  }

  async #tasksOf(
    tenant: TenantId,
    events: Awaited<ReturnType<Store['events']>>,
  ): Promise<ReadonlyMap<TaskKey, Task>> {
    const ids = [...new Set(events.map(({ taskId }) => taskId))];
    const tasks = await this.#parts.store.read(ids.map(id => ({ tenant, id })));
    return new Map(tasks.flatMap(task => (task === null ? [] : [[task.key, task] as const])));
  }
}
