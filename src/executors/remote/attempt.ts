// One attempt at a SAM agent, from its order to its end: sends it, passes on what was heard, asks where nothing was, brings home what
// it left, and cancels it where it is no longer wanted. Everything it must not forget is in the delegation's document.

import { asDomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Task, TaskError } from '../../domain/task.ts';
import type { EngineApi, WorkAnswer, WorkRef, WorkRequest, WorkResult } from '../../engine/api.ts';
import { pause } from '../../runtime/clock.ts';
import type { RemoteAnswer, RemoteClient } from './client.ts';
import type { Delegation, Delegations } from './delegation.ts';
import { fold, type RemoteEnd, readStatus } from './event.ts';
import { dependencyFailure } from './failure.ts';
import { bringHome, type ResultDeps } from './result.ts';

/** What an attempt tells the engine in one go. */
export type Tidings = Partial<Pick<WorkRequest, 'results' | 'progress' | 'logs' | 'heartbeats'>>;

/** What an attempt works with. */
export interface AttemptDeps extends ResultDeps {
  readonly engine: Pick<EngineApi, 'task' | 'cancel'>;
  readonly delegations: Delegations;
  readonly client: RemoteClient;
  /** The order's body; throws `policy_violation` for a task that may not be passed on. */
  order(task: Task, delegation: Delegation): Promise<JsonObject>;
  traceparent(task: Task): string;
  /** Speaks to the engine in the agent's name. */
  tell(tidings: Tidings): Promise<WorkAnswer>;
  /** Notes how the agent answered an order. */
  answered(answer: RemoteAnswer): void;
}

/** How patient an attempt is; durations in milliseconds. */
export interface AttemptOptions {
  /** Without a word for so long, the agent is asked (60 s). */
  readonly silenceMs: number;
  /** The document is read again so often even if nobody said that it changed: webhooks may come to another node. */
  readonly rereadMs: number;
}

const TRIES_MAX = 3;
const POLL_FAILURES_MAX = 5;
const CANCEL_TRIES_MAX = 20;
const BACK_OFF_MS = { first: 1_000, most: 60_000 };
const LAST_LOOK_MS_MAX = 10_000;

/** Leads one delegation; made anew for it after a restart. */
export class DelegatedAttempt {
  readonly #deps: AttemptDeps;
  readonly #options: AttemptOptions;
  readonly #first: Delegation;
  readonly #stop = new AbortController();
  /** Aborts what serves the attempt's success alone, as soon as that is not wanted any more. */
  readonly #given = new AbortController();
  #cancelReason: string | null = null;
  #wake: () => void = () => {};
  #woken = false;
  #toldProgress = '';
  #polledAt: number;
  #pollFailures = 0;

  /** `resumed` for one that an earlier process began: what its agent said meanwhile may be lost, so it is asked at once. */
  constructor(deps: AttemptDeps, options: AttemptOptions, delegation: Delegation, resumed: boolean) {
    this.#deps = deps;
    this.#options = options;
    this.#first = delegation;
    this.#polledAt = resumed ? 0 : delegation.claimedAt;
  }

  /** The lease it holds. */
  get ref(): WorkRef {
    return { taskId: this.#first.taskId, token: this.#first.token };
  }

  get remoteId(): string {
    return this.#first.remoteId;
  }

  /** Something was written about the delegation: look at it now. */
  wake(): void {
    this.#woken = true;
    this.#wake();
  }

  /** The attempt is over here; the agent is told to stop. */
  cancel(reason: string): void {
    this.#cancelReason ??= reason;
    this.#given.abort(new Error(reason));
    this.wake();
  }

  /** Lets go, leaving everything to whoever resumes it. */
  stop(): void {
    const reason = new Error('the server stops');
    this.#given.abort(reason);
    this.#stop.abort(reason);
    this.#wake();
  }

  /** Resolves when the attempt is over and the agent knows, or when stopped. `task` where it was just leased. */
  async run(task: Task | null): Promise<void> {
    let backOffMs = BACK_OFF_MS.first;
    while (!this.#stop.signal.aborted) {
      try {
        if (await this.#step(task)) return;
        backOffMs = BACK_OFF_MS.first;
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        // A cancellation ends what was under way; the next step deals with it.
        if (this.#given.signal.aborted && this.#given.signal.reason === error) continue;
        this.#deps.log.warn('a delegated task could not be led on; trying again', {
          task: this.remoteId,
          error: String(error),
        });
        await this.#pause(backOffMs);
        backOffMs = Math.min(BACK_OFF_MS.most, backOffMs * 2);
      }
    }
  }

  /** True once there is nothing left to do. */
  async #step(leased: Task | null): Promise<boolean> {
    this.#woken = false;
    const known = await this.#deps.delegations.find(this.remoteId);
    const delegation = known === null ? await this.#begin() : known.open;
    if (delegation === null) return true;
    if (delegation.state === 'cancelling' || this.#cancelReason !== null)
      return await this.#cancelAtAgent(delegation);
    if (delegation.end !== null) return await this.#finish(delegation, delegation.end);
    if (delegation.state === 'sending') await this.#send(delegation, leased);
    else {
      await this.#passOn(delegation);
      await this.#listen(delegation);
    }
    return false;
  }

  async #begin(): Promise<Delegation | null> {
    if (this.#cancelReason !== null) return null;
    await this.#deps.delegations.create(this.#first);
    return this.#first;
  }

  async #send(delegation: Delegation, leased: Task | null): Promise<void> {
    const { engine, clock } = this.#deps;
    const task = leased ?? (await engine.task(delegation.tenant, delegation.taskId));
    if (task.lease?.token !== delegation.token) return this.cancel('the lease is gone');
    const answer = await this.#sendUntilAnswered(delegation, task);
    if (answer.kind === 'taken' || (answer.kind === 'refused' && answer.status === 409)) {
      // 409: the agent has the order from an earlier try whose answer was lost.
      await this.#change(one => ({ ...one, state: 'running', heardAt: clock.now() }));
    } else {
      await this.#fail(answer.error, answer.kind === 'unreachable');
    }
  }

  async #sendUntilAnswered(delegation: Delegation, task: Task): Promise<RemoteAnswer> {
    const { client, order, traceparent, answered } = this.#deps;
    let body: JsonObject;
    try {
      body = await order(task, delegation);
    } catch (error) {
      const { code, message, details } = asDomainError(error);
      if (code === 'internal') throw error;
      return { kind: 'refused', status: null, error: { code, message, recoverable: false, details } };
    }
    for (let tried = 1; ; tried += 1) {
      // Not even a cancellation ends it: the agent would be told to stop before it was told to begin.
      const answer = await client.execute(body, traceparent(task), this.#stop.signal);
      answered(answer);
      if (answer.kind !== 'unreachable' || tried === TRIES_MAX) return answer;
      await pause(this.#deps.clock, BACK_OFF_MS.first * 2 ** (tried - 1), this.#given.signal);
    }
  }

  /** Ends the attempt by a failure of its delegation; a later look tells it. */
  async #fail(error: TaskError, abandoned: boolean): Promise<void> {
    const end: RemoteEnd = { outcome: 'failed', error, artifacts: [], metrics: {} };
    await this.#change(one => (one.end === null ? { ...one, end, abandoned } : one));
  }

  /** Tells the engine what is new; each thing once. */
  async #passOn({ progress, lines }: Delegation): Promise<void> {
    const seen = JSON.stringify(progress);
    const isNew = progress !== null && seen !== this.#toldProgress;
    if (!isNew && lines.length === 0) return;
    await this.#deps.tell({
      ...(isNew ? { progress: [{ ...this.ref, report: progress }] } : {}),
      logs: lines.map(line => ({ ...this.ref, component: 'remote_agent', ...line })),
    });
    this.#toldProgress = seen;
    if (lines.length > 0) await this.#change(one => ({ ...one, lines: one.lines.slice(lines.length) }));
  }

  /** Waits for news, and asks for them once they are overdue (`SAM-99`). */
  async #listen(delegation: Delegation): Promise<void> {
    const dueInMs = this.#pollDueAt(delegation) - this.#deps.clock.now();
    if (dueInMs > 0) return this.#pause(Math.min(dueInMs, this.#options.rereadMs));
    await this.#poll();
  }

  #pollDueAt({ heardAt, claimedAt, deadlineAt }: Delegation): number {
    const quietAt = Math.max(heardAt, this.#polledAt) + this.#options.silenceMs;
    if (this.#polledAt === 0) return 0;
    const lastLookAt = deadlineAt - Math.min(LAST_LOOK_MS_MAX, (deadlineAt - claimedAt) / 4);
    return this.#polledAt < lastLookAt ? Math.min(quietAt, lastLookAt) : quietAt;
  }

  async #poll(): Promise<void> {
    const { clock, client } = this.#deps;
    const answer = await client.status(this.remoteId, this.#given.signal);
    this.#polledAt = clock.now();
    if (answer.kind === 'taken') {
      this.#pollFailures = 0;
      const event = readStatus(answer.body);
      await this.#change(one => fold(one, event, clock.now()));
      return;
    }
    if (answer.kind === 'refused' && answer.error.code === 'not_found') {
      await this.#fail(dependencyFailure('the agent does not know the task any more'), false);
      return;
    }
    this.#deps.log.warn('an agent could not be asked about a task', {
      task: this.remoteId,
      error: answer.error.message,
    });
    if (answer.kind === 'refused') return;
    this.#pollFailures += 1;
    if (this.#pollFailures >= POLL_FAILURES_MAX) await this.#fail(answer.error, true);
  }

  async #finish(delegation: Delegation, end: RemoteEnd): Promise<boolean> {
    await this.#passOn(delegation);
    if (end.outcome === 'cancelled') await this.#cancelHere(delegation, end);
    else await this.#tellResult(await bringHome(delegation, end, this.#deps, this.#given.signal));
    if (!delegation.abandoned) await this.#deps.delegations.close(delegation);
    else this.cancel('the agent could not be reached');
    return !delegation.abandoned;
  }

  /** A result the engine cannot take (too large, say) becomes the failure it named; one that came too late changes nothing. */
  async #tellResult(result: WorkResult): Promise<void> {
    const { rejected } = await this.#deps.tell({ results: [result] });
    const refusal = rejected.find(one => one.token === result.token && one.item === 'result')?.error;
    if (refusal === undefined || refusal.code === 'lease_lost') return;
    if (refusal.code === 'unavailable' || refusal.code === 'internal' || result.status === 'failed')
      throw refusal;
    const { code, message, details } = refusal;
    await this.#deps.tell({
      results: [{ ...this.ref, status: 'failed', error: { code, message, recoverable: false, details } }],
    });
  }

  /** Somebody cancelled the task at the agent: so it is here, if this is still its attempt (`SAM-97`). */
  async #cancelHere({ tenant, taskId, agentId }: Delegation, { error }: RemoteEnd): Promise<void> {
    const { engine, tell } = this.#deps;
    const { extensions } = await tell({ heartbeats: [this.ref] });
    if (!extensions.some(one => one.token === this.ref.token)) return;
    const reason = `cancelled at agent ${agentId}: ${error?.message ?? 'no reason given'}`;
    await engine.cancel({ tenant, id: taskId, actor: `agent:${agentId}`, reason });
  }

  /** Recorded first, so that a restart finishes it (`SAM-68`). */
  async #cancelAtAgent(delegation: Delegation): Promise<boolean> {
    const { client, delegations } = this.#deps;
    if (delegation.end !== null && !delegation.abandoned) {
      await delegations.close(delegation);
      return true;
    }
    const cancelReason = delegation.cancelReason ?? this.#cancelReason ?? 'cancelled';
    if (delegation.state !== 'cancelling')
      await this.#change(one => ({ ...one, state: 'cancelling', cancelReason }));
    let delayMs = BACK_OFF_MS.first;
    for (let tried = 1; tried <= CANCEL_TRIES_MAX; tried += 1) {
      const answer = await client.cancel(this.remoteId, cancelReason, this.#stop.signal);
      if (answer.kind !== 'unreachable') break;
      await pause(this.#deps.clock, delayMs, this.#stop.signal);
      delayMs = Math.min(BACK_OFF_MS.most, delayMs * 2);
    }
    await delegations.close(delegation);
    return true;
  }

  async #change(change: (delegation: Delegation) => Delegation): Promise<void> {
    await this.#deps.delegations.change(this.#first, change);
  }

  /** Until woken, or for so long. */
  #pause(ms: number): Promise<void> {
    if (this.#woken || this.#stop.signal.aborted) return Promise.resolve();
    return new Promise(resolve => {
      const cancel = this.#deps.clock.after(ms, () => this.#wake());
      this.#wake = () => {
        cancel();
        this.#wake = () => {};
        resolve();
      };
    });
  }
}
