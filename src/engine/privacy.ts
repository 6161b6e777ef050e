// Everything held about a person, to be given out or taken away (`ARMY-76`): tasks asked for in their name, messages that name them or are
// about those tasks, records. Erasing may be begun again at any point: what leads to the rest goes last.

import type { Artifact } from '../domain/artifact.ts';
import { DomainError } from '../domain/errors.ts';
import type { TaskId, TenantId } from '../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../domain/json.ts';
import type { MemoryRecord } from '../domain/record.ts';
import type { Task } from '../domain/task.ts';
import { APPROVAL_KIND } from '../domain/workflow-documents.ts';
import type { Blobs } from '../store/blobs.ts';
import type { DeadLetter, StoredMail } from '../store/mail.ts';
import type { StoredDocument } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import type { EngineApi } from './api.ts';
import type { Memory } from './memory/memory.ts';

/** A person in a tenant. */
export interface Person {
  readonly tenant: TenantId;
  readonly userId: string;
}

/** Everything held about a person. */
export interface PersonalHoldings {
  readonly tasks: readonly Task[];
  readonly artifacts: readonly Artifact[];
  readonly messages: readonly StoredMail[];
  readonly deadLetters: readonly DeadLetter[];
  readonly reviews: readonly StoredDocument[];
  readonly records: readonly MemoryRecord[];
}

/** What was taken away, in numbers. */
export interface Erasure {
  readonly erased: Readonly<Record<keyof PersonalHoldings, number>>;
  /** Tasks that still end, being cancelled: erase again. */
  readonly pending: readonly TaskId[];
}

/** What it works with. */
export interface PrivacyParts {
  readonly store: Pick<
    Store,
    'list' | 'purge' | 'read' | 'mail' | 'artifacts' | 'dropArtifacts' | 'documents' | 'putDocuments'
  >;
  readonly engine: Pick<EngineApi, 'cancel'>;
  readonly memory: Pick<Memory, 'exportOf' | 'eraseOf'>;
  readonly blobs: Pick<Blobs, 'removeFreed'>;
}

const PAGE = 500;
const NAMES: ReadonlySet<string> = new Set(['user_id', 'userId', 'user']);

/** Gives out and takes away. */
export class Privacy {
  readonly #parts: PrivacyParts;

  constructor(parts: PrivacyParts) {
    this.#parts = parts;
  }

  /** All of it. */
  async holdings(person: Person): Promise<PersonalHoldings> {
    const { store, memory } = this.#parts;
    const { tenant, userId } = person;
    const tasks = await this.#tasks(person);
    const ids = new Set<string>(tasks.map(({ id }) => id));
    const artifacts: Artifact[] = [];
    for (const { id: taskId } of tasks) artifacts.push(...(await store.artifacts({ tenant, taskId })));
    const reviews = await this.#reviews(person, ids);
    return {
      ...{ tasks, artifacts, reviews },
      messages: await this.#messages(person, ids),
      deadLetters: await this.#deadLetters(person, ids),
      records: await memory.exportOf(tenant, userId),
    };
  }

  /** Takes it away, cancelling tasks that have not ended; those that end later are named as pending. */
  async erase(person: Person, actor: string): Promise<Erasure> {
    const { store, memory, blobs } = this.#parts;
    const { tenant, userId } = person;
    const held = await this.holdings(person);
    const { tasks, artifacts, messages, deadLetters, reviews } = held;
    for (const task of tasks) if (task.outcome === null) await this.#cancel(task, actor);
    const records = await memory.eraseOf(tenant, userId);
    const blanks = messages.map(({ position, content }) => ({ position, content: blankOf(content) }));
    for (let from = 0; from < blanks.length; from += PAGE)
      await store.mail.blank(tenant, blanks.slice(from, from + PAGE));
    await store.mail.drop(
      tenant,
      deadLetters.map(({ id }) => id),
    );
    await store.putDocuments(reviews.map(({ id }) => ({ tenant, kind: APPROVAL_KIND, id, body: null })));
    const refs = artifacts.map(({ id }) => ({ tenant, id }));
    if (refs.length > 0) await blobs.removeFreed(async () => ({ freed: await store.dropArtifacts(refs) }));
    const ids = tasks.map(({ id }) => id);
    const { tasks: purged } = await store.purge({ tenant, ids }, ids.length);
    const left = await store.read(ids.map(id => ({ tenant, id })));
    return {
      erased: {
        ...{ tasks: purged, artifacts: artifacts.length, messages: messages.length, records },
        ...{ deadLetters: deadLetters.length, reviews: reviews.length },
      },
      pending: left.flatMap(task => (task === null || task.purged ? [] : [task.id])),
    };
  }

  async #cancel({ tenant, id }: Task, actor: string): Promise<void> {
    try {
      await this.#parts.engine.cancel({ tenant, id, actor, reason: 'its person is to be forgotten' });
    } catch (error) {
      // It ended meanwhile.
      if (!(error instanceof DomainError) || error.code !== 'invalid_transition') throw error;
    }
  }

  async #tasks({ tenant, userId }: Person): Promise<readonly Task[]> {
    const all: Task[] = [];
    for (;;) {
      const { items, total } = await this.#parts.store.list({
        tenant,
        userId,
        limit: PAGE,
        offset: all.length,
      });
      all.push(...items);
      if (items.length === 0 || all.length >= total) return all;
    }
  }

  /** Messages that name the person, or are about a task of theirs; not those that were blanked. */
  async #messages({ tenant, userId }: Person, tasks: ReadonlySet<string>): Promise<readonly StoredMail[]> {
    const all: StoredMail[] = [];
    let after: string | undefined;
    for (;;) {
      const query = { tenant, limit: PAGE, ...(after === undefined ? {} : { after }) };
      const page = await this.#parts.store.mail.mail(query);
      all.push(...page.filter(one => concerns(one, userId, tasks)));
      after = page.at(-1)?.position;
      if (page.length < PAGE) return all;
    }
  }

  async #deadLetters({ tenant, userId }: Person, tasks: ReadonlySet<string>): Promise<readonly DeadLetter[]> {
    const all: DeadLetter[] = [];
    let after = 0;
    for (;;) {
      const page = await this.#parts.store.mail.deadLetters({ tenant, after, limit: PAGE });
      all.push(
        ...page.filter(({ mail, raw }) =>
          mail === null ? names(parsed(raw ?? ''), userId) : concerns(mail, userId, tasks),
        ),
      );
      after = page.at(-1)?.id ?? after;
      if (page.length < PAGE) return all;
    }
  }

  async #reviews({ tenant, userId }: Person, tasks: ReadonlySet<string>): Promise<readonly StoredDocument[]> {
    const all: StoredDocument[] = [];
    for (let offset = 0; ; offset += PAGE) {
      const page = await this.#parts.store.documents({ tenant, kind: APPROVAL_KIND, limit: PAGE, offset });
      all.push(...page.filter(({ body }) => tasks.has(String(body.task_id)) || names(body, userId)));
      if (page.length < PAGE) return all;
    }
  }
}

function concerns(mail: StoredMail, userId: string, tasks: ReadonlySet<string>): boolean {
  if (mail.content.actor === ERASED) return false;
  return (mail.taskId !== null && tasks.has(mail.taskId)) || names(mail.content, userId);
}

/** Whether some member that names a person names this one. */
function names(value: Json | undefined, userId: string): boolean {
  if (Array.isArray(value)) return value.some(one => names(one, userId));
  if (!isJsonObject(value)) return false;
  return Object.entries(value).some(
    ([name, member]) => (NAMES.has(name) && member === userId) || names(member, userId),
  );
}

/** What never was a message may still be JSON. */
function parsed(raw: string): Json {
  try {
    return JSON.parse(raw) as Json;
  } catch {
    return null;
  }
}

const ERASED = 'erased';

/** A message's content once it says nothing any more: only when it was sent, and to whom. */
function blankOf({ to, sentAt, traceId }: JsonObject): JsonObject {
  return {
    ...{ to, sentAt, traceId, actor: ERASED, agentId: null, envelope: null },
    meaning: { act: 'say', body: { erased: true } },
  };
}
