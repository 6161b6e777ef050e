// Does what built-in services are asked: agents inside this server, one a service and tenant, that take tasks as any worker does, so that a
// crash, a timeout or a retry is the engine's concern. A task for a service elsewhere it passes on and holds until that has answered.

import { asDomainError, DomainError, ERROR_CODES } from '../../domain/errors.ts';
import { type AgentId, DEFAULT_TENANT, type TaskId, type TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Task } from '../../domain/task.ts';
import type { EngineApi, WorkAnswer, WorkLease, WorkRequest } from '../../engine/api.ts';
import { type Clock, pause } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Service } from '../../runtime/service.ts';
import type { Store } from '../../store/store.ts';
import { CATALOGUE, COMMON_CODES, readCode } from './catalogue.ts';
import { codeOf } from './errors.ts';
import { OWN_PREFIX } from './services.ts';
import { type BuiltIn, isBuiltIn } from './vocabulary.ts';

/** One task under way. */
export interface Errand {
  readonly tenant: TenantId;
  readonly service: BuiltIn;
  readonly task: Task;
  /** Aborts when the task is taken away, cancelled or over. */
  readonly signal: AbortSignal;
  /** How long a call to somebody else may take, so that there is time left to say what came of it. */
  readonly withinMs: number;
  /** Writes a line into the log of the task. */
  log(level: 'DEBUG' | 'INFO' | 'WARN', message: string): Promise<void>;
  /** Tells how far it is. */
  report(progress: NonNullable<WorkRequest['progress'][number]['report']>): Promise<void>;
}

/** What an errand came to: what is answered, or that somebody else will report. */
export type ErrandEnd = { readonly answered: JsonObject } | { readonly left: true };

/** Types of tasks each service does. */
export const WORK_TYPES: Readonly<Record<BuiltIn, readonly string[]>> = {
  agent_orchestrator: ['custom:workflow_step', 'custom:system_task'],
  agent_execution: ['custom:agent_task'],
  workflow_engine: ['custom:workflow_task'],
  conversation: ['custom:conversation_task'],
  knowledge_base: ['custom:knowledge_search', 'custom:knowledge_update'],
  authentication: ['custom:auth_task'],
  tool_registry: ['custom:tool_task', 'custom:tool_registration'],
};

/** What services do but for looking things up: nobody orders it past their desks. */
export const NOOBLE_WORK = Object.values(WORK_TYPES)
  .flat()
  .map(type => type.slice('custom:'.length))
  .filter(name => name !== 'knowledge_search');

/** What doing tasks needs. */
export interface WorkerParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly store: Pick<Store, 'documents' | 'putDocuments'>;
  readonly engine: () => EngineApi;
  readonly run: (errand: Errand) => Promise<ErrandEnd>;
}

const KIND = 'nooble_worker';
const SLOTS = 100;
const WAIT_MS = 20_000;
const TRY_AGAIN_MS = 1_000;
const LOOK_MS = 5_000;
const CALL_SHARE = 0.8;

/** The built-in services at work. */
export class Worker implements Service {
  readonly #parts: WorkerParts;
  readonly #stop = new AbortController();
  readonly #loops = new Map<string, Promise<void>>();
  readonly #held = new Map<string, AbortController>();
  readonly #runs = new Set<Promise<void>>();
  readonly #known = new Set<string>();
  #looking: Promise<void> | null = null;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
  }

  /** Goes on with the services of tenants that used them before. */
  async start(): Promise<void> {
    this.#looking = this.#look();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    for (const controller of this.#held.values()) controller.abort();
    await Promise.allSettled([this.#looking, ...this.#loops.values(), ...this.#runs]);
  }

  /** Resolves when the service takes tasks of the tenant, on this node and, in a moment, on all. */
  async ensure(tenant: TenantId, service: BuiltIn): Promise<void> {
    const id = `${tenant}/${service}`;
    if (this.#known.has(id)) return;
    await this.#register(tenant, service);
    await this.#parts.store.putDocuments([
      { tenant: DEFAULT_TENANT, kind: KIND, id, body: { tenant, service } },
    ]);
    this.#known.add(id);
    this.#begin(tenant, service);
  }

  /** Lets go of a task that somebody else has reported on. */
  release(tenant: TenantId, task: TaskId): void {
    this.#held.get(keyOf(tenant, task))?.abort();
  }

  async #look(): Promise<void> {
    const { clock, log, store } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        for (const { body } of await store.documents({ tenant: DEFAULT_TENANT, kind: KIND })) {
          const { tenant, service } = body;
          if (typeof tenant === 'string' && typeof service === 'string' && isBuiltIn(service))
            this.#begin(tenant as TenantId, service);
        }
      } catch (error) {
        log.warn('built-in services could not be looked up', { error: String(error) });
      }
      await pause(clock, LOOK_MS, signal).catch(() => {});
    }
  }

  #begin(tenant: TenantId, service: BuiltIn): void {
    const id = `${tenant}/${service}`;
    if (!this.#stop.signal.aborted && !this.#loops.has(id)) this.#loops.set(id, this.#loop(tenant, service));
  }

  async #loop(tenant: TenantId, service: BuiltIn): Promise<void> {
    const { clock, log } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const answer = await this.#work(tenant, service, { slots: SLOTS, waitMs: WAIT_MS, signal });
        for (const lease of answer.leases) this.#track(this.#run(tenant, service, lease));
        if (answer.leases.length === 0) await pause(clock, 10, signal).catch(() => {});
      } catch (error) {
        if (signal.aborted) return;
        log.warn('a built-in service takes no tasks', { tenant, service, error: String(error) });
        await pause(clock, TRY_AGAIN_MS, signal).catch(() => {});
      }
    }
  }

  async #work(tenant: TenantId, service: BuiltIn, asked: Partial<WorkRequest>): Promise<WorkAnswer> {
    const answer = await this.#parts.engine().work({
      ...{
        tenant,
        agentId: agentOf(service),
        types: WORK_TYPES[service],
        capabilities: [],
        slots: 0,
        waitMs: 0,
      },
      ...{ results: [], progress: [], logs: [], heartbeats: [] },
      ...asked,
    });
    for (const { taskId } of answer.cancellations) this.release(tenant, taskId);
    return answer;
  }

  async #run(tenant: TenantId, service: BuiltIn, lease: WorkLease): Promise<void> {
    const { task, token } = lease;
    const ref = { taskId: task.id, token };
    const controller = new AbortController();
    const key = keyOf(tenant, task.id);
    this.#held.set(key, controller);
    const { signal } = controller;
    const keeping = this.#keep(tenant, service, lease, signal);
    const errand: Errand = {
      ...{ tenant, service, task, signal, withinMs: Math.ceil(task.spec.timeoutMs * CALL_SHARE) },
      log: (level, message) => this.#note(tenant, service, ref, level, message),
      report: async report => void (await this.#work(tenant, service, { progress: [{ ...ref, report }] })),
    };
    try {
      const end = await this.#parts.run(errand);
      if ('left' in end) await aborted(signal);
      else if (!signal.aborted)
        await this.#work(tenant, service, {
          results: [{ ...ref, status: 'completed', output: end.answered }],
        });
    } catch (thrown) {
      await this.#fail(tenant, service, ref, thrown, signal);
    } finally {
      controller.abort();
      if (this.#held.get(key) === controller) this.#held.delete(key);
      await keeping;
      // What was under way when the server stops, another node goes on with at once.
      if (this.#stop.signal.aborted)
        await this.#parts
          .engine()
          .handBack({ tenant, ...ref }, 'the server stops')
          .catch(() => {});
    }
  }

  async #fail(
    tenant: TenantId,
    service: BuiltIn,
    ref: { readonly taskId: TaskId; readonly token: WorkLease['token'] },
    thrown: unknown,
    signal: AbortSignal,
  ): Promise<void> {
    if (signal.aborted) return;
    const error = asDomainError(thrown);
    const { code, message, details } = error;
    if (code === 'internal')
      this.#parts.log.error('a built-in service failed', { service, error: error.cause ?? error });
    const known = readCode(codeOf(error)) ?? 'GEN_004';
    const mayHelp = ERROR_CODES[code].retry === 'yes' && COMMON_CODES[CATALOGUE[known].common].isRetried;
    const recoverable = mayHelp && details.final !== true;
    const failure = { code, message, details, recoverable };
    await this.#note(tenant, service, ref, 'ERROR', message);
    await this.#work(tenant, service, { results: [{ ...ref, status: 'failed', error: failure }] });
  }

  async #note(
    tenant: TenantId,
    service: BuiltIn,
    ref: WorkRequest['heartbeats'][number],
    level: WorkRequest['logs'][number]['level'],
    message: string,
  ): Promise<void> {
    const at = this.#parts.clock.now();
    await this.#work(tenant, service, { logs: [{ ...ref, at, level, component: service, message }] });
  }

  /** Prolongs the lease until the task is let go of. */
  async #keep(tenant: TenantId, service: BuiltIn, lease: WorkLease, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    const { task, token, expiresAt } = lease;
    const everyMs = Math.max(200, (expiresAt - clock.now()) / 3);
    for (;;) {
      await pause(clock, everyMs, signal).catch(() => {});
      if (signal.aborted) return;
      try {
        await this.#work(tenant, service, { heartbeats: [{ taskId: task.id, token }] });
      } catch (error) {
        log.warn('a lease was not prolonged', { task: task.id, error: String(error) });
      }
    }
  }

  async #register(tenant: TenantId, service: BuiltIn): Promise<void> {
    await this.#parts.engine().registerAgent({
      ...{ tenant, id: agentOf(service), kind: 'worker', types: WORK_TYPES[service], capabilities: [] },
      ...{ slots: SLOTS, capacity: {} },
    });
  }

  #track(run: Promise<void>): void {
    this.#runs.add(run);
    const done = (): void => void this.#runs.delete(run);
    run.then(done, error => {
      done();
      if (!(error instanceof DomainError && error.code === 'lease_lost'))
        this.#parts.log.warn('a task of a built-in service is done again', { error: String(error) });
    });
  }
}

/** The agent that a built-in service is. */
export function agentOf(service: BuiltIn): AgentId {
  return `${OWN_PREFIX}${service}` as AgentId;
}

function keyOf(tenant: TenantId, task: TaskId): string {
  return `${tenant}\n${task}`;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise(resolve => signal.addEventListener('abort', () => resolve(), { once: true }));
}
