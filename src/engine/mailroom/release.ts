// Between a task's end and its requester: outputs that must be valid, or that a person must see, are held until they were. What is held is
// a document, so a crash at any point goes on where it was; what is told has the same id every time. One node does it.

import { asDomainError, type DomainError, ERROR_CODES } from '../../domain/errors.ts';
import type { TaskEvent } from '../../domain/event.ts';
import { ruleOf, violation } from '../../domain/guardrails.ts';
import type { TaskId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { Draft, Message, MessageId } from '../../domain/message.ts';
import type { Task } from '../../domain/task.ts';
import { type Clock, pause } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { MailStore } from '../../store/mail.ts';
import type { StoredDocument } from '../../store/rows.ts';
import type { Store } from '../../store/store.ts';
import type { GuardrailKeeper } from '../ports/guardrails.ts';
import type { MessageWire, ReleaseTerms } from '../ports/message-wire.ts';
import type { Validator } from '../ports/validator.ts';
import type { Reviews } from '../reviews.ts';
import {
  contentReviewId,
  HELD_KIND,
  type HeldAnswer,
  type HeldOutput,
  outputReviewId,
  refusalOf,
  refusedEvent,
  refusedTask,
  SETTLED_KIND,
  type Settled,
  verdictOfPerson,
  withheldTask,
} from './held.ts';
import { messageOf } from './packing.ts';

/** What releasing needs. */
export interface ReleaseParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly store: Pick<Store, 'documents' | 'putDocuments' | 'events' | 'read'>;
  readonly mail: Pick<MailStore, 'mail'>;
  readonly wires: ReadonlyMap<string, MessageWire>;
  readonly reviews: Reviews;
  readonly validator: Validator;
  readonly guardrails: GuardrailKeeper;
  readonly say: (drafts: readonly Draft[]) => Promise<void>;
  readonly leads: () => boolean;
}

const LOOK_MS = 1_000;
const PAGE = 500;
const UNDER_WAY_MAX = 8;
const SHOWN_MAX = 100_000;
const ISSUES_MAX = 20;
const HOUR_MS = 3_600_000;
const KEPT_MS = 400 * 24 * HOUR_MS;

/** Lets outputs go. */
export class Release {
  readonly #parts: ReleaseParts;
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #stop = new AbortController();
  #working: Promise<void> | null = null;
  #wake: AbortController = new AbortController();

  constructor(parts: ReleaseParts) {
    this.#parts = parts;
    parts.reviews.onDecision(() => this.#look());
  }

  start(): void {
    this.#working = this.#work();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#working;
    await Promise.allSettled(this.#underWay.values());
  }

  /** What is to be told of a task's event now; null where that must wait, or was told once it had waited. */
  async passed(
    task: Task,
    event: TaskEvent,
  ): Promise<{ readonly task: Task; readonly event: TaskEvent } | null> {
    if (event.kind !== 'state' || event.to !== 'completed' || task.outcome !== 'completed')
      return { task, event };
    const terms = this.#termsOf(task);
    if (terms === null) return { task, event };
    const offence = this.#offence(task, terms);
    if (offence !== null) {
      this.#bit(task, offence);
      const error = refusalOf(offence);
      return { task: refusedTask(task, error), event: refusedEvent(event, error) };
    }
    if (terms.validation === null && terms.review === null) return { task, event };
    if ((await this.#settled(task)) !== null) return null;
    const held: HeldOutput = {
      ...{ subject: 'output', task_id: task.id, sequence: event.sequence, state: 'validating', terms },
    };
    await this.#hold(task.tenant, task.executionId, held);
    return null;
  }

  /** The task as its requester may see it: what is held does not show, what was refused has failed. */
  async seen(task: Task): Promise<Task> {
    if (task.outcome !== 'completed' || task.purged) return task;
    const terms = this.#termsOf(task);
    const offence = terms === null ? null : this.#offence(task, terms);
    if (offence !== null) return refusedTask(task, refusalOf(offence));
    if (this.#wireOf(task)?.releaseTerms === undefined) return task;
    const settled = await this.#settled(task);
    if (settled?.error != null) return refusedTask(task, settled.error);
    if (settled !== null) return task;
    const { tenant, executionId: id } = task;
    const [held] = await this.#parts.store.documents({ tenant, kind: HELD_KIND, ids: [id] });
    if (held !== undefined) return withheldTask(task, (held.body as unknown as HeldOutput).state);
    const isHeldSoon = terms !== null && (terms.validation !== null || terms.review !== null);
    // Between its end and its hold stand moments; what ended long ago was let go under other terms.
    const isNew = this.#parts.clock.now() - (task.endedAt ?? 0) < HOUR_MS;
    return isHeldSoon && isNew ? withheldTask(task, 'validating') : task;
  }

  /** Puts what a message asks about before a person, its wire telling the answer once there is one; asked twice, it is asked once. */
  async ask(
    message: Message,
    asked: {
      readonly title: string;
      readonly text: string;
      readonly content: Json;
      readonly expiresInMs?: number;
    },
  ): Promise<string> {
    const { tenant, actor, agentId, taskId, dialect } = message;
    const id = contentReviewId(message);
    const { title, text, content, expiresInMs } = asked;
    await this.#parts.reviews.open({
      ...{ tenant, id, ...(expiresInMs === undefined ? {} : { expiresInMs }) },
      approval: {
        ...{ task_id: taskId ?? '', step: 'content', subject: 'content', title, message: text },
        content: shown(content),
        requester: { credential: actor, agent: agentId ?? '', user: '' },
      },
    });
    await this.#hold(tenant, id, { subject: 'content', dialect, message_id: message.id });
    return id;
  }

  #look(): void {
    this.#wake.abort();
  }

  async #hold(tenant: Task['tenant'], id: string, held: HeldOutput | HeldAnswer): Promise<void> {
    const body = held as unknown as JsonObject;
    await this.#parts.store.putDocuments([{ tenant, kind: HELD_KIND, id, body, expected: 'absent' }]);
    this.#look();
  }

  async #work(): Promise<void> {
    const { clock, log, leads } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      try {
        if (leads()) await this.#takeUpAll();
      } catch (error) {
        log.warn('what is held back is looked at later', { error: String(error) });
      }
      await pause(clock, LOOK_MS, AbortSignal.any([signal, this.#wake.signal])).catch(() => {});
    }
  }

  async #takeUpAll(): Promise<void> {
    for (let offset = 0; ; offset += PAGE) {
      const page = await this.#parts.store.documents({ kind: HELD_KIND, limit: PAGE, offset });
      for (const document of page) {
        const name = `${document.tenant}\n${document.id}`;
        if (this.#underWay.has(name)) continue;
        if (this.#underWay.size >= UNDER_WAY_MAX) await Promise.race(this.#underWay.values());
        this.#underWay.set(
          name,
          this.#takeUp(document).finally(() => void this.#underWay.delete(name)),
        );
      }
      if (page.length < PAGE) return;
    }
  }

  async #takeUp(document: StoredDocument): Promise<void> {
    const held = document.body as unknown as HeldOutput | HeldAnswer;
    try {
      if (held.subject === 'content') await this.#answer(document, held);
      else await this.#advance(document, held);
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#parts.log.warn('something is held back longer', { held: document.id, error: String(error) });
    }
  }

  /** Takes a held output one step on. */
  async #advance(document: StoredDocument, held: HeldOutput): Promise<void> {
    const { tenant } = document;
    const [task] = await this.#parts.store.read([{ tenant, id: held.task_id as TaskId }]);
    if (task === null || task === undefined || task.executionId !== document.id || task.purged)
      return this.#drop(document);
    const settled = await this.#settled(task);
    if (settled !== null) return this.#tell(document, held, task, settled);
    if (held.state === 'reviewing') {
      const review = await this.#parts.reviews.look(tenant, outputReviewId(task));
      if (review?.state === 'waiting') return;
      const isApproved = review?.state === 'approved';
      return this.#settle(
        document,
        held,
        task,
        isApproved ? null : rejection(review?.state, review?.comment),
      );
    }
    const fault = held.terms.validation === null ? null : await this.#validate(task, held.terms.validation);
    if (fault !== null || held.terms.review === null) return this.#settle(document, held, task, fault);
    await this.#askPerson(task, held.terms.review);
    const body = { ...held, state: 'reviewing' } as unknown as JsonObject;
    const { id, version } = document;
    await this.#parts.store.putDocuments([{ tenant, kind: HELD_KIND, id, body, expected: version }]);
    this.#look();
  }

  /** Why the output is not good enough, or null. */
  async #validate(task: Task, validation: JsonObject): Promise<DomainError | null> {
    const { validator, guardrails } = this.#parts;
    const { qualityMin: scoreMin } = guardrails.of(task.tenant);
    try {
      const content = this.#wireOf(task)?.contentOf?.(task) ?? task.result?.output ?? null;
      const order = validator.orderOf({ ...validation, content }, { scoreMin });
      const { valid, score, issues, recommendations } = await validator.validate(order, this.#stop.signal);
      if (valid) return null;
      const found = issues.slice(0, ISSUES_MAX).map(issue => ({ ...issue }));
      return violation(
        'quality',
        `the output is not valid: its score is ${score}, and ${scoreMin} is needed`,
        {
          ...{ score, limit: scoreMin, issues: found, recommendations },
        },
      );
    } catch (thrown) {
      const error = asDomainError(thrown);
      if (ERROR_CODES[error.code].retry !== 'no') throw thrown;
      return violation('quality', `the output cannot be validated: ${error.message}`, error.details);
    }
  }

  async #askPerson(task: Task, { title, message }: NonNullable<ReleaseTerms['review']>): Promise<void> {
    const { reviews, say } = this.#parts;
    const { tenant, id: taskId, spec, agentId, result } = task;
    const id = outputReviewId(task);
    const content = shown(result?.output ?? null);
    await reviews.open({
      ...{ tenant, id },
      approval: {
        ...{ task_id: taskId, step: 'output', subject: 'output', title, message, content },
        ...(agentId === null ? {} : { made_by: agentId }),
        requester: {
          credential: spec.submittedBy ?? '',
          agent: spec.origin?.agentId ?? '',
          user: spec.requester.userId ?? '',
        },
      },
    });
    await say(this.#wireOf(task)?.reviewAsked?.({ tenant, id, title, message, content, task }) ?? []);
  }

  async #settle(
    document: StoredDocument,
    held: HeldOutput,
    task: Task,
    fault: DomainError | null,
  ): Promise<void> {
    const settled: Settled = {
      state: fault === null ? 'released' : 'refused',
      error: fault === null ? null : refusalOf(fault),
    };
    const { tenant, executionId: id } = task;
    const body = settled as unknown as JsonObject;
    const expiresAt = this.#parts.clock.now() + KEPT_MS;
    const [outcome] = await this.#parts.store.putDocuments([
      { tenant, kind: SETTLED_KIND, id, body, expected: 'absent', expiresAt },
    ]);
    if (outcome?.status !== 'done') return;
    if (fault !== null) this.#bit(task, fault);
    await this.#tell(document, held, task, settled);
  }

  async #tell(document: StoredDocument, held: HeldOutput, task: Task, { error }: Settled): Promise<void> {
    const { store, say } = this.#parts;
    const afterSequence = held.sequence - 1;
    const [event] = await store.events({ of: 'task', key: task.key, afterSequence, limit: 1 });
    const wire = this.#wireOf(task);
    if (event?.kind === 'state' && wire !== undefined)
      await say(
        await (error === null
          ? wire.taskNews(task, event)
          : wire.taskNews(refusedTask(task, error), refusedEvent(event, error))),
      );
    await this.#drop(document);
  }

  /** Tells who asked by a message what was decided, once it was. */
  async #answer(document: StoredDocument, { dialect, message_id: messageId }: HeldAnswer): Promise<void> {
    const { reviews, mail, wires, say } = this.#parts;
    const { tenant } = document;
    const review = await reviews.look(tenant, document.id);
    if (review?.state === 'waiting') return;
    const [found] = await mail.mail({ tenant, dialect, ids: [messageId as MessageId], limit: 1 });
    const verdict = verdictOfPerson(review?.state === 'approved', review?.comment);
    if (found !== undefined) await say(wires.get(dialect)?.reviewed?.(messageOf(found), verdict) ?? []);
    await this.#drop(document);
  }

  async #drop({ tenant, id, version }: StoredDocument): Promise<void> {
    await this.#parts.store.putDocuments([{ tenant, kind: HELD_KIND, id, body: null, expected: version }]);
  }

  async #settled({ tenant, executionId: id }: Task): Promise<Settled | null> {
    const [found] = await this.#parts.store.documents({ tenant, kind: SETTLED_KIND, ids: [id] });
    return found === undefined ? null : (found.body as unknown as Settled);
  }

  #wireOf({ spec }: Task): MessageWire | undefined {
    return spec.origin === undefined ? undefined : this.#parts.wires.get(spec.origin.dialect);
  }

  /** What holds the task's output back, by its wire and its tenant; null where nothing does. */
  #termsOf(task: Task): ReleaseTerms | null {
    const own = this.#wireOf(task)?.releaseTerms?.(task) ?? null;
    const { offensiveContent } = this.#parts.guardrails.of(task.tenant);
    const refusesOffence =
      offensiveContent === 'wire' ? own?.refusesOffence === true : offensiveContent === 'refuse';
    if (own === null) return refusesOffence ? { refusesOffence, validation: null, review: null } : null;
    return { ...own, refusesOffence };
  }

  #offence(task: Task, { refusesOffence }: ReleaseTerms): DomainError | null {
    if (!refusesOffence) return null;
    const categories = this.#parts.validator.offencesIn(task.result?.output ?? null);
    return categories.length === 0
      ? null
      : violation('offensive_content', 'the output offends', { categories });
  }

  #bit({ tenant, id: object, agentId }: Task, error: DomainError): void {
    const rule = ruleOf(error);
    if (rule === null) return;
    const principal = agentId === null ? 'system' : `agent:${agentId}`;
    this.#parts.guardrails.bit({ tenant, rule, principal, object, detail: { reason: error.message } });
  }
}

function rejection(state: string | undefined, comment: string | undefined): DomainError {
  const why = comment === undefined || comment === '' ? '' : `: ${comment}`;
  const what = state === 'rejected' ? 'a person refused the output' : 'no person let the output go in time';
  return violation('human_review', `${what}${why}`);
}

/** What a person is shown of content: all of it, unless that is very much. */
function shown(content: Json): Json {
  const text = JSON.stringify(content);
  return text.length <= SHOWN_MAX ? content : `${text.slice(0, SHOWN_MAX)}…`;
}
