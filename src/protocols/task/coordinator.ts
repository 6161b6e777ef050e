// The coordinator: makes tasks, hears their holders, obeys commands, keeps the state they share, and answers each request exactly once. It
// goes by rules alone.

import { DomainError } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Draft, Meaning, Message } from '../../domain/message.ts';
import type { Participant } from '../../engine/ports/participant.ts';
import type { Control } from './control.ts';
import { textAt } from './decode.ts';
import { stateNews, statusFields } from './news.ts';
import type { TaskParts } from './parts.ts';
import { requireParty } from './permissions.ts';
import type { NamedCheckpoint } from './reports.ts';
import { hashOf } from './shared-state.ts';
import { submit } from './submission.ts';
import { answer } from './utterance.ts';
import { COORDINATOR_DESK } from './vocabulary.ts';

type Progress = Meaning & { readonly act: 'report_progress' };
type Outcome = Meaning & { readonly act: 'report_outcome' };

/** Makes the coordinator. */
export function createCoordinator(parts: TaskParts, control: Control): Participant {
  return {
    name: 'task coordinator',
    inboxes: [COORDINATOR_DESK],
    handle: message => new Handling(parts, control, message).answer(),
  };
}

/** What is done about one message. */
class Handling {
  readonly #parts: TaskParts;
  readonly #control: Control;
  readonly #message: Message;

  constructor(parts: TaskParts, control: Control, message: Message) {
    this.#parts = parts;
    this.#control = control;
    this.#message = message;
  }

  async answer(): Promise<readonly Draft[]> {
    const { meaning } = this.#message;
    switch (meaning.act) {
      case 'request_task':
        await submit(this.#message, meaning.task, this.#parts);
        return [this.#ack('accepted')];
      case 'report_progress':
        return this.#progress(meaning);
      case 'report_outcome':
        return this.#outcome(meaning);
      case 'ask_status':
        return [await this.#status(meaning.taskId)];
      case 'control_task':
        return this.#control.obey(this.#message, meaning);
      case 'accept':
        return this.#control.hear(this.#message, String(meaning.detail.command_id), meaning.status);
      case 'refuse':
        return this.#control.hear(this.#message, String(meaning.fault.details.command_id), 'rejected');
      default:
        return this.#state(meaning);
    }
  }

  /** A report keeps the lease; an older one than the last is noted and changes nothing else (`TASK-22`, `TASK-23`). */
  async #progress(said: Progress): Promise<readonly Draft[]> {
    const { desk } = this.#parts.mailroom();
    const { tenant, sentAt } = this.#message;
    const ref = { tenant, taskId: said.taskId };
    if (said.status === 'pending') {
      await desk.progress(this.#message, said);
      return [this.#ack('applied')];
    }
    if (await this.#isStale(said.taskId)) {
      const { percentage, metrics } = said;
      const detail = { message_id: this.#message.id, percentage, metrics };
      const nothing = { ...said, percentage: null, metrics: {}, checkpoint: null, note: null };
      await desk.progress(this.#message, nothing, [{ kind: 'note', name: 'stale_report', detail }]);
      return [this.#ack('accepted', { stale: true })];
    }
    const checkpoint = checkpointIn(said.checkpoint);
    await desk.progress(this.#message, said);
    if (checkpoint !== null) await this.#parts.reports.save(ref, checkpoint);
    const { attempt } = await desk.task(tenant, said.taskId);
    await this.#parts.reports.note(ref, { attempt, at: sentAt, metrics: said.metrics });
    if (said.status !== 'paused') return [this.#ack('applied')];
    return [...(await this.#obeyed('pause', said.taskId)), this.#ack('applied')];
  }

  async #outcome(said: Outcome): Promise<readonly Draft[]> {
    const { desk } = this.#parts.mailroom();
    const { metrics } = this.#message.envelope ?? {};
    if (isJsonObject(metrics) && metrics.jwe === undefined)
      await desk.progress(this.#message, {
        ...{ act: 'report_progress', taskId: said.taskId, status: 'running', metrics },
        ...{ percentage: null, note: null, checkpoint: null },
      });
    if (said.status === 'cancelled')
      return [...(await this.#obeyed('cancel', said.taskId)), this.#ack('applied')];
    await desk.outcome(this.#message, said);
    return [this.#ack('applied')];
  }

  /** The holder says that its task stands so; whoever commanded that is told, and else it was its own will. */
  async #obeyed(command: 'pause' | 'cancel', taskId: TaskId): Promise<readonly Draft[]> {
    const { desk } = this.#parts.mailroom();
    const task = await desk.task(this.#message.tenant, taskId);
    if (task.lease?.agentId !== this.#message.agentId)
      throw new DomainError('lease_lost', `you do not hold task ${taskId}`, { details: { task_id: taskId } });
    const said = await this.#control.reported(this.#message, command === 'pause' ? 'paused' : 'cancelled');
    if (said.length > 0) return said;
    const reason = textAt(this.#message.envelope ?? {}, 'reason') ?? 'as its agent reported';
    await desk.control(this.#message, command, { taskId, reason, force: true });
    return [];
  }

  async #isStale(taskId: TaskId): Promise<boolean> {
    const { tenant, sentAt } = this.#message;
    const [last, { attempt }] = await Promise.all([
      this.#parts.reports.read({ tenant, taskId }),
      this.#parts.engine.task(tenant, taskId),
    ]);
    return last.attempt === attempt && sentAt < last.at;
  }

  async #status(taskId: TaskId): Promise<Draft> {
    const { tenant } = this.#message;
    const task = await this.#parts.engine.task(tenant, taskId);
    const { metrics } = await this.#parts.reports.read({ tenant, taskId });
    return answer(this.#message, this.#parts.clock.now(), statusFields(task, { metrics }));
  }

  /** `state.sync` and `state.verify`. */
  async #state(meaning: Meaning): Promise<readonly Draft[]> {
    const { type, tenant, id } = this.#message;
    const fields: JsonObject = meaning.act === 'say' && isJsonObject(meaning.body) ? meaning.body : {};
    const taskId = fields.task_id as TaskId;
    const task = await this.#parts.engine.task(tenant, taskId);
    const ref = { tenant, taskId };
    if (type === 'state.verify') return [await this.#verified(ref, fields)];
    requireParty(task, this.#message);
    const change = { patch: fields.state as JsonObject, version: Number(fields.expected_version) };
    const version = await this.#parts.states.merge(ref, id, change);
    const news = await stateNews(task, { cause: id, version }, this.#parts);
    return [this.#ack('applied', { version }), ...news];
  }

  async #verified(ref: { tenant: Message['tenant']; taskId: TaskId }, fields: JsonObject): Promise<Draft> {
    const { version, state } = await this.#parts.states.read(ref);
    const hash = hashOf(state);
    const match = fields.version === version && (fields.hash === undefined || fields.hash === hash);
    const told = { type: 'state.verified', task_id: ref.taskId, match, version, state, hash };
    return answer(this.#message, this.#parts.clock.now(), told);
  }

  #ack(status: 'accepted' | 'applied', more: JsonObject = {}): Draft {
    const { id, taskId } = this.#message;
    const task = taskId === null ? {} : { task_id: taskId };
    return answer(
      this.#message,
      this.#parts.clock.now(),
      { type: 'task.control.ack', command_id: id, status, ...task, ...more },
      { act: 'accept', status, taskId, detail: { command_id: id, ...more } },
    );
  }
}

function checkpointIn(value: Json | null): NamedCheckpoint | null {
  if (!isJsonObject(value) || typeof value.id !== 'string') return null;
  return { id: value.id, data: value.data ?? null };
}
