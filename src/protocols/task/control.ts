// Commands: pause, resume, cancel. One for a task nobody holds has its effect at once. One for a task that is held is forwarded to its
// holder, and has its effect when that agrees; who stays silent for 30 s lets a pause fail and a cancel happen (`TASK-28` to `TASK-35`).

import { DomainError } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import { type Draft, inboxOfAgent, type Message } from '../../domain/message.ts';
import type { Task } from '../../domain/task.ts';
import { hasEnded, isHeld } from '../../domain/transitions.ts';
import type { CommandEnd, ForwardedCommand } from './commands.ts';
import type { TaskParts } from './parts.ts';
import { answer, idFor, utterance } from './utterance.ts';
import { VERSION } from './vocabulary.ts';

/** A command as a message gives it. */
export type Order = Message['meaning'] & { readonly act: 'control_task' };

/** So long a holder may take to answer. */
export const ANSWER_MS = 30_000;
const TRIES_MAX = 5;

/** Obeys commands, and hears what holders say to them. */
export class Control {
  readonly #parts: TaskParts;

  constructor(parts: TaskParts) {
    this.#parts = parts;
  }

  /** Answers what is said to the commander, and to whoever had given another command that is void now. */
  async obey(message: Message, order: Order): Promise<readonly Draft[]> {
    const { tenant } = message;
    const { taskId, command } = order;
    for (let tried = 0; tried < TRIES_MAX; tried++) {
      const task = await this.#parts.engine.task(tenant, taskId);
      const underWay = await this.#underWay(task);
      if (command !== 'resume' && isForwardable(task) && (await this.#reads(task)))
        return this.#forward(message, order, task);
      if (command === 'resume' && underWay.length > 0) throw contrary(task, underWay);
      if (command === 'resume') await this.#choose(task, order.checkpoint);
      try {
        await this.#do(message, order, { force: isForwardable(task) });
        return [this.#ack(message, 'applied')];
      } catch (error) {
        // It was taken meanwhile: its holder has a say now.
        if (!(error instanceof DomainError) || error.code !== 'invalid_transition') throw error;
        const now = await this.#parts.engine.task(tenant, taskId);
        if (hasEnded(now.state) || now.version === task.version) throw error;
      }
    }
    throw new DomainError('unavailable', `task ${taskId} changes too fast to be ordered about`, {
      retryAfterMs: 1_000,
    });
  }

  /** A holder says that it has obeyed, or will; the commander is told once it is so. */
  async hear(
    message: Message,
    commandId: string,
    said: 'applied' | 'accepted' | 'rejected',
  ): Promise<readonly Draft[]> {
    const { commands } = this.#parts;
    const command = await commands.find(message.tenant, commandId);
    if (command === null) throw new DomainError('not_found', `there is no command ${commandId}`);
    if (said === 'accepted') {
      if (command.end === null) await commands.wait(command);
      return [];
    }
    if (command.end !== null && command.end.by !== message.id) throw tooLate(command);
    if (said === 'applied') return this.conclude(command, { how: 'applied', by: message.id });
    await commands.end(command, { how: 'rejected', by: message.id });
    return [];
  }

  /** What a report on the task says of commands under way: that it stands as they wanted. */
  async reported(message: Message, status: 'paused' | 'cancelled'): Promise<readonly Draft[]> {
    const wanted = status === 'paused' ? 'pause' : 'cancel';
    const { tenant, taskId, agentId } = message;
    const all = await this.#parts.commands.underWay(tenant, taskId as TaskId);
    const meant = all.filter(({ command, holder }) => command === wanted && holder === agentId);
    const said = await Promise.all(
      meant.map(command => this.conclude(command, { how: 'applied', by: message.id })),
    );
    return said.flat();
  }

  /** Has a command its effect, and tells the commander; whoever ended it before decided. */
  async conclude(command: ForwardedCommand, end: CommandEnd): Promise<readonly Draft[]> {
    const { commands } = this.#parts;
    const { tenant, taskId, reason, actor } = command;
    try {
      if (command.end === null && end.how === 'applied')
        await this.#do({ tenant, actor }, { taskId, command: command.command, reason }, { force: true });
    } catch (error) {
      if (!(error instanceof DomainError) || error.code === 'unavailable') throw error;
      await commands.end(command, { how: 'rejected', by: end.by });
      return [this.#final(command, rejection(error))];
    }
    const { how, by } = await commands.end(command, end);
    if (by !== end.by) return [];
    if (how === 'applied') return [this.#final(command, { type: 'task.control.ack', status: 'applied' })];
    const why = how === 'silent' ? SILENT : 'invalid_transition: another command took its place';
    return [this.#final(command, { type: 'task.control.reject', reason: why })];
  }

  /** Of commands nobody answered: a pause fails, a cancel happens; where nobody holds the task any more, either does. */
  async giveUp(command: ForwardedCommand): Promise<readonly Draft[]> {
    const by = idFor('silence', command.id);
    const task = await this.#parts.engine.task(command.tenant, command.taskId);
    const isHeldStill = task.lease?.token === command.token;
    const fails = command.command === 'pause' && isHeldStill;
    return this.conclude(command, { how: fails ? 'silent' : 'applied', by });
  }

  async #forward(
    message: Message,
    { taskId, command, reason }: Order,
    task: Task,
  ): Promise<readonly Draft[]> {
    const { commands, clock } = this.#parts;
    const underWay = (await this.#underWay(task)).filter(({ id }) => id !== message.id);
    const said: Draft[] = [];
    for (const other of underWay.filter(one => one.command !== command)) {
      // A cancel goes before a pause; against a cancel a pause comes too late.
      if (command === 'pause') throw contrary(task, [other]);
      said.push(...(await this.conclude(other, { how: 'superseded', by: message.id })));
    }
    const { lease } = task;
    if (lease === null || command === 'resume') throw new Error('only what is held is forwarded');
    const version = message.envelope?.protocol_version;
    await commands.begin({
      ...{ id: message.id, tenant: message.tenant, taskId, command, reason, holder: lease.agentId },
      ...{ commander: message.from, actor: message.actor, token: lease.token, traceId: message.traceId },
      ...{ correlationId: message.correlationId, dueAt: clock.now() + ANSWER_MS, end: null },
      version: typeof version === 'string' ? version : VERSION,
    });
    const entry = { inbox: inboxOfAgent(lease.agentId), lane: taskId, cause: 'command' };
    await this.#parts.mailroom().copy(message, entry);
    return [...said, this.#ack(message, 'accepted')];
  }

  /** Those that still mean the lease under which the task is held. */
  async #underWay({ tenant, id, lease }: Task): Promise<readonly ForwardedCommand[]> {
    const all = await this.#parts.commands.underWay(tenant, id);
    return all.filter(({ token }) => token === lease?.token);
  }

  /** Whether the holder is an agent that reads its inbox. */
  async #reads({ tenant, lease }: Task): Promise<boolean> {
    return lease !== null && (await this.#parts.mailroom().directory.agent(tenant, lease.agentId)) !== null;
  }

  /** Has the next attempt begin from the checkpoint of that name (`TASK-29`). */
  async #choose(task: Task, name: string | null): Promise<void> {
    if (name === null) return;
    const { tenant, id, key, version } = task;
    const checkpoint = await this.#parts.reports.checkpoint({ tenant, taskId: id }, name);
    if (task.state !== 'paused') return;
    await this.#parts.store.commit([
      { key, guard: { by: 'version', version }, events: [], checkpoint: { ...checkpoint } },
    ]);
  }

  async #do(
    by: Pick<Message, 'tenant' | 'actor'>,
    { taskId: id, command, reason }: Pick<Order, 'taskId' | 'command' | 'reason'>,
    { force }: { readonly force: boolean },
  ): Promise<void> {
    const { desk } = this.#parts.mailroom();
    await desk.control(by, command, { taskId: id, reason, force });
  }

  #ack(message: Message, status: 'accepted' | 'applied'): Draft {
    const { id, taskId } = message;
    return answer(
      message,
      this.#parts.clock.now(),
      { type: 'task.control.ack', command_id: id, status, ...(taskId === null ? {} : { task_id: taskId }) },
      { act: 'accept', status, taskId, detail: { command_id: id } },
    );
  }

  #final(command: ForwardedCommand, fields: Parameters<typeof utterance>[1]): Draft {
    const { id, tenant, taskId, commander, correlationId, traceId, version } = command;
    return utterance(
      {
        ...{ tenant, id: idFor('final', id), to: [commander], now: this.#parts.clock.now() },
        ...{ correlationId, traceId, taskId, version },
      },
      { ...fields, command_id: id, task_id: taskId },
    );
  }
}

const SILENT = 'upstream_timeout: the agent that holds the task did not answer within 30 s';

function isForwardable({ state, lease }: Task): boolean {
  return isHeld(state) && lease !== null;
}

function rejection({ code, message, details }: DomainError): Parameters<typeof utterance>[1] {
  const state =
    typeof details.lifecycle_state === 'string' ? ` (the task is ${details.lifecycle_state})` : '';
  return { type: 'task.control.reject', reason: `${code}: ${message}${state}` };
}

function contrary({ id, state }: Task, [other]: readonly ForwardedCommand[]): DomainError {
  return new DomainError('invalid_transition', `a ${other?.command} of task ${id} is under way`, {
    details: { task_id: id, lifecycle_state: state, command_id: other?.id ?? null },
  });
}

function tooLate({ id, end, taskId }: ForwardedCommand): DomainError {
  return new DomainError('invalid_transition', `the command ${id} is over: ${end?.how}`, {
    details: { task_id: taskId, command_id: id },
  });
}
