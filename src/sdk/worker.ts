// The worker: leases tasks, runs their handlers, keeps their leases, and says what came of them.
// When it talks to the server is exchanges.ts's to decide; what a handler sees is attempt.ts's.

import type { JsonObject } from '../domain/json.ts';
import type { TaskType } from '../domain/task.ts';
import { Attempt, type TaskHandler } from './attempt.ts';
import type { BatutaClient } from './client.ts';
import type { Cancel } from './clock.ts';
import { Exchanges, type HeldTasks } from './exchanges.ts';
import { Outbox, refusedResult, type Word } from './outbox.ts';
import type { WorkAnswer, WorkLease, WorkReference } from './wire.ts';

/** What a worker is made of. */
export interface WorkerOptions {
  readonly client: BatutaClient;
  /** The worker's own name, unique in the tenant: two that share it are taken for one. */
  readonly agentId: string;
  /** By task type, or by a custom type's name. */
  readonly handlers: Readonly<Record<string, TaskHandler>>;
  /** Tasks run at once (10); the server grants an agent 100 at most unless told otherwise. */
  readonly slots?: number;
  /** Tasks asked for in one exchange at most (50): fewer than `slots`, so that one exchange can be under way while another's tasks run. */
  readonly claimMax?: number;
  /** Exchanges under way at once, beside the long poll (2). */
  readonly exchangesMax?: number;
  /** How long a poll waits for work, 0–60 (25). */
  readonly waitSeconds?: number;
  readonly capabilities?: readonly string[];
  readonly region?: string;
  /** `canary` for a worker that is tried with a share of the tasks (`SAM-228`). */
  readonly labels?: readonly string[];
  readonly version?: string;
  /** JSON Schemas by custom type name: registered before the first task is asked for (`SAM-175`). */
  readonly schemas?: Readonly<Record<string, { readonly input?: JsonObject; readonly output?: JsonObject }>>;
  /** Hears of failed exchanges; the worker itself goes on. */
  readonly onError?: (error: unknown) => void;
}

/** How a worker is let go. */
export interface StopOptions {
  /** How long running tasks get to end by themselves, in milliseconds (30,000). */
  readonly graceMs?: number;
  /** How long to try to hand results in after that, in milliseconds (10,000). */
  readonly handInMs?: number;
}

const BUILT_IN: ReadonlySet<string> = new Set<Exclude<TaskType, 'custom'>>([
  'code_execution',
  'web_automation',
  'data_processing',
  'content_generation',
  'api_integration',
  'workflow_orchestration',
  'monitoring_task',
]);
/** What the wire allows to ask for at once. */
const ASK_MAX = 100;
const LEASE_MS = 30_000;
/** The server tells the time in whole seconds, so a lease may be a second shorter than it seems. */
const TIME_ERROR_MS = 1_000;
/** What a handler gets to save its state once it was told to stop. */
const LAST_WORDS_MS = 1_000;

/** Runs tasks of the types it has handlers for, from `start` to `stop`. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #outbox = new Outbox();
  readonly #exchanges: Exchanges;
  /** By fencing token. */
  readonly #attempts = new Map<number, Attempt>();
  #leaseMs = LEASE_MS;
  #tick: Cancel | null = null;
  #idle: PromiseWithResolvers<void> | null = null;
  #stopping: Promise<void> | null = null;

  constructor(options: WorkerOptions) {
    this.#options = options;
    const { client, agentId, capabilities, region, labels, version } = options;
    this.#exchanges = new Exchanges(
      {
        client,
        self: { agent_id: agentId, types: this.#types(), capabilities, region, labels, version },
        slots: options.slots ?? 10,
        claimMax: Math.min(options.claimMax ?? 50, ASK_MAX),
        exchangesMax: options.exchangesMax ?? 2,
        waitSeconds: options.waitSeconds ?? 25,
        onError: options.onError ?? (() => undefined),
      },
      this.#outbox,
      this.#heldTasks(),
    );
  }

  /** Tasks whose handlers have not ended. */
  get running(): number {
    return this.#attempts.size;
  }

  /** Resolves with the server's first answer; rejects if that is a refusal. A server that cannot be reached is waited for. */
  async start(): Promise<void> {
    const { client, agentId, schemas, capabilities, region, labels, version, slots } = this.#options;
    if (schemas !== undefined)
      await client.agents.register({
        agent_id: agentId,
        types: this.#types(),
        kind: 'worker',
        skills: capabilities,
        region,
        labels,
        version,
        schemas,
        capacity: { slots: slots ?? 10 },
      });
    await this.#exchanges.open();
  }

  /** Asks for nothing more, lets running tasks end, stops those that do not and hands them back, hands all results in. Idempotent. */
  stop(options: StopOptions = {}): Promise<void> {
    this.#stopping ??= this.#stop(options.graceMs ?? 30_000, options.handInMs ?? 10_000);
    return this.#stopping;
  }

  async #stop(graceMs: number, handInMs: number): Promise<void> {
    this.#exchanges.stopAsking();
    if (!(await this.#allEnded(graceMs))) {
      for (const attempt of this.#attempts.values()) attempt.abort('shutdown', 'the worker is stopping');
      await this.#allEnded(LAST_WORDS_MS);
    }
    for (const attempt of this.#attempts.values())
      if (attempt.wanted) this.#outbox.result(attempt.handedBack());
    this.#attempts.clear();
    await this.#within(handInMs, this.#exchanges.emptied());
    this.#exchanges.close();
    this.#tick?.();
  }

  async #allEnded(ms: number): Promise<boolean> {
    if (this.#attempts.size === 0) return true;
    this.#idle = Promise.withResolvers();
    return this.#within(ms, this.#idle.promise);
  }

  async #within(ms: number, event: Promise<void>): Promise<boolean> {
    const late = Promise.withResolvers<boolean>();
    const cancel = this.#options.client.clock.after(ms, () => late.resolve(false));
    const inTime = await Promise.race([event.then(() => true), late.promise]);
    cancel();
    return inTime;
  }

  #heldTasks(): HeldTasks {
    const attempts = this.#attempts;
    const now = (): number => this.#options.client.clock.monotonic();
    return {
      get running() {
        return attempts.size;
      },
      renewals: () =>
        [...attempts.values()].filter(attempt => attempt.wanted && attempt.renewAt <= now()).map(referenceTo),
      answered: (answer, said) => this.#answered(answer, said, now()),
    };
  }

  #answered(answer: WorkAnswer & { readonly serverNow: number }, said: readonly Word[], now: number): void {
    const leaseMs = (expiresAt: string): number => {
      const left = Date.parse(expiresAt) - answer.serverNow - TIME_ERROR_MS;
      return Number.isNaN(left) ? LEASE_MS : Math.max(TIME_ERROR_MS, left);
    };
    for (const lease of answer.leases) this.#begin(lease, now, leaseMs(lease.lease_expires_at));
    for (const { fencing_token, lease_expires_at } of answer.extensions)
      this.#attempts.get(fencing_token)?.extend(now, leaseMs(lease_expires_at));
    for (const refusal of answer.rejected) this.#rejected(refusal, said);
    for (const { fencing_token, reason } of answer.cancellations)
      this.#attempts.get(fencing_token)?.abort('cancelled', reason ?? 'the task was cancelled');
    this.#watchLeases();
  }

  /** A stale item means that the lease is gone; any other refusal of a result leaves the task waiting for one that is acceptable. */
  #rejected(refusal: WorkAnswer['rejected'][number], said: readonly Word[]): void {
    const { code, message } = refusal.error ?? {};
    if (code === undefined || code === 'LEASE_LOST' || code === 'INVALID_STATE') {
      this.#attempts.get(refusal.fencing_token)?.abort('lease_lost', 'another worker may have the task');
      return;
    }
    const refused = said.find(
      ({ kind, item }) =>
        kind === 'result' && item.fencing_token === refusal.fencing_token && item.status === 'completed',
    );
    if (refused !== undefined) this.#outbox.result(refusedResult(refused.item, message ?? code));
  }

  #begin(lease: WorkLease, now: number, leaseMs: number): void {
    this.#leaseMs = leaseMs;
    const attempt = new Attempt(lease, {
      client: this.#options.client,
      now,
      leaseMs,
      mouth: {
        progress: item => {
          this.#outbox.progress(item);
          this.#exchanges.said();
        },
        log: line => {
          this.#outbox.log(line);
          this.#exchanges.said();
        },
      },
    });
    this.#attempts.set(attempt.token, attempt);
    void attempt.run(this.#handlerOf(lease)).then(result => {
      if (!this.#attempts.delete(attempt.token)) return;
      if (attempt.wanted) this.#outbox.result(result);
      this.#exchanges.ended();
      if (this.#attempts.size === 0) this.#idle?.resolve();
    });
  }

  #handlerOf({ task }: WorkLease): TaskHandler | undefined {
    const name = task.task_type === 'custom' ? String(task.task_data.type_name) : task.task_type;
    return Object.hasOwn(this.#options.handlers, name) ? this.#options.handlers[name] : undefined;
  }

  /** Looks at the leases a few times in each renewal period: presses for those due, gives up those past their end. */
  #watchLeases(): void {
    if (this.#tick !== null || this.#attempts.size === 0) return;
    this.#tick = this.#options.client.clock.after(Math.max(50, this.#leaseMs / 12), () => {
      this.#tick = null;
      const now = this.#options.client.clock.monotonic();
      let due = false;
      for (const attempt of this.#attempts.values()) {
        if (attempt.expiresAt <= now) attempt.abort('lease_lost', 'the lease could not be renewed in time');
        due ||= attempt.wanted && attempt.renewAt <= now;
      }
      if (due) this.#exchanges.press();
      this.#watchLeases();
    });
  }

  #types(): readonly string[] {
    return Object.keys(this.#options.handlers).map(name => (BUILT_IN.has(name) ? name : `custom:${name}`));
  }
}

function referenceTo(attempt: Attempt): WorkReference {
  return { task_id: attempt.lease.task.task_id, fencing_token: attempt.token };
}
