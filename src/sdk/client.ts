// The client: one typed method for each thing the server can be asked. Paths and bodies are here and in resources.ts; how a call
// is sent and repeated is transport.ts's.

import { Approvals } from './approvals.ts';
import type { Clock } from './clock.ts';
import { type FollowOptions, followEvents, followLogs } from './follow.ts';
import { Mail } from './mail.ts';
import { Pipes } from './pipes.ts';
import { Agents, ApiKeys, Artifacts, Audit, Deliveries, Secrets, Tenants } from './resources.ts';
import { Schedules } from './schedules.ts';
import { type ClientOptions, Transport } from './transport.ts';
import type {
  Acceptance,
  BatchItem,
  ControlAnswer,
  LogFilter,
  LogRecord,
  StatusList,
  StatusOptions,
  StatusQuery,
  StreamEvent,
  TaskMetrics,
  TaskRequest,
  TaskStatus,
  WorkAnswer,
  WorkRequest,
} from './wire.ts';
import type { CanaryView, HealthAnswer, NodeView, TokenAnswer } from './wire-admin.ts';
import { Workflows } from './workflows.ts';

/** What any call may carry. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Names the request for ever: repeating it does nothing twice. Made afresh for each call where absent. */
  readonly idempotencyKey?: string | undefined;
}

/** Asked often for what is small and soon used: packing it costs both ends more than sending it. */
const UNPACKED = { 'accept-encoding': 'identity' };

/** Talks to one server as one principal. Rejects with a `BatutaError`; safe to share and to call concurrently. */
export class BatutaClient {
  readonly clock: Clock;
  readonly artifacts: Artifacts;
  readonly deliveries: Deliveries;
  readonly schedules: Schedules;
  readonly workflows: Workflows;
  readonly approvals: Approvals;
  readonly agents: Agents;
  readonly apiKeys: ApiKeys;
  readonly tenants: Tenants;
  readonly secrets: Secrets;
  readonly audit: Audit;
  readonly pipes: Pipes;
  readonly #transport: Transport;
  readonly #agentId: string;

  /** `agentId` stands in the orders it sends as the orchestrator (`batuta-sdk` where absent). */
  constructor(options: ClientOptions & { readonly agentId?: string }) {
    this.#transport = new Transport(options);
    this.#agentId = options.agentId ?? 'batuta-sdk';
    this.clock = this.#transport.clock;
    this.artifacts = new Artifacts(this.#transport);
    this.deliveries = new Deliveries(this.#transport);
    this.schedules = new Schedules(this.#transport, this.#agentId);
    this.workflows = new Workflows(this.#transport);
    this.approvals = new Approvals(this.#transport);
    this.agents = new Agents(this.#transport);
    this.apiKeys = new ApiKeys(this.#transport);
    this.tenants = new Tenants(this.#transport);
    this.secrets = new Secrets(this.#transport);
    this.audit = new Audit(this.#transport);
    this.pipes = new Pipes(this.#transport);
  }

  /** Hands a task in; answered once it is durable. Throws `RejectedError` where it can never run, `ConflictError` where its id is taken. */
  execute(task: TaskRequest, options: CallOptions = {}): Promise<Acceptance> {
    return this.#transport.json({
      method: 'POST',
      path: '/api/v2/execute-task',
      json: this.#completed(task),
      ...options,
    });
  }

  /** Hands in up to 1,000 tasks, answering each in order; `atomic` admits all or none (`SAM-39`). */
  async executeBatch(
    tasks: readonly TaskRequest[],
    options: CallOptions & { readonly atomic?: boolean } = {},
  ): Promise<readonly BatchItem[]> {
    const { atomic, ...call } = options;
    const answer = await this.#transport.json<{ readonly results: readonly BatchItem[] }>({
      method: 'POST',
      path: '/api/v2/execute-task/batch',
      json: { tasks: tasks.map(task => this.#completed(task)), atomic },
      headers: UNPACKED,
      ...call,
    });
    return answer.results;
  }

  /** The messages of a wire: `army`, `task`, `blog`, `nooble`. */
  mail(protocol: string): Mail {
    return new Mail(this.#transport, protocol);
  }

  /** A task as it stands; throws `NotFoundError`. */
  status(taskId: string, options: StatusOptions & CallOptions = {}): Promise<TaskStatus> {
    const { signal, idempotencyKey: _, ...query } = options;
    return this.#transport.json({ method: 'GET', path: `/api/v2/task-status/${at(taskId)}`, query, signal });
  }

  /** The processes that serve from the store; for administrators of the default tenant. */
  async nodes(): Promise<readonly NodeView[]> {
    const answer = await this.#transport.json<{ readonly nodes: readonly NodeView[] }>({
      method: 'GET',
      path: '/api/v2/nodes',
    });
    return answer.nodes;
  }

  /** What nodes and agents labelled `canary` get; for administrators of the default tenant. */
  canaries(): Promise<CanaryView> {
    return this.#transport.json({ method: 'GET', path: '/api/v2/canaries' });
  }

  /** Sets it for all nodes, and gives back what was taken away. */
  setCanaries(settings: {
    readonly share: number;
    readonly tenants?: readonly string[];
  }): Promise<CanaryView> {
    return this.#transport.json({ method: 'PUT', path: '/api/v2/canaries', json: settings });
  }

  /** Tasks that match, newest first (`SAM-60`). */
  statuses(query: StatusQuery = {}, options: CallOptions = {}): Promise<StatusList> {
    return this.#transport.json({
      method: 'GET',
      path: '/api/v2/task-status',
      query,
      signal: options.signal,
    });
  }

  /** A task's log, oldest line first; with `follow`, on and on until the task ends. */
  async *logs(
    taskId: string,
    options: LogFilter & { readonly follow?: boolean; readonly signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<LogRecord, void> {
    const { follow, ...filter } = options;
    if (follow === true) return yield* followLogs(this.#transport, taskId, filter);
    const { signal, ...query } = filter;
    let cursor: string | number | null | undefined;
    do {
      const page: { logs: readonly LogRecord[]; next_cursor?: string | number | null } =
        await this.#transport.json({
          method: 'GET',
          path: `/api/v2/task-logs/${at(taskId)}`,
          query: { ...query, cursor },
          signal,
        });
      yield* page.logs;
      cursor = page.next_cursor;
    } while (cursor !== undefined && cursor !== null);
  }

  /** A task's resource samples and totals (`SAM-64`). */
  metrics(
    taskId: string,
    options: { readonly since?: string; readonly resolution?: number; readonly signal?: AbortSignal } = {},
  ): Promise<TaskMetrics> {
    const { signal, ...query } = options;
    return this.#transport.json({ method: 'GET', path: `/api/v2/task-metrics/${at(taskId)}`, query, signal });
  }

  /** A task's events until its end, or with no id the tenant's for ever; survives broken connections without gap or repeat. */
  events(taskId?: string, options: FollowOptions = {}): AsyncGenerator<StreamEvent, void> {
    const all = '/api/v2/task-events';
    const path = taskId === undefined ? all : `${all}/${at(taskId)}`;
    return followEvents(this.#transport, { path, ends: taskId !== undefined }, options);
  }

  /** Ends a task that has not ended; repeating it is harmless (`SAM-66`). */
  cancel(
    taskId: string,
    options: CallOptions & { readonly reason?: string; readonly graceSeconds?: number } = {},
  ): Promise<ControlAnswer> {
    return this.#control(taskId, 'cancel', options, {
      reason: options.reason,
      grace_seconds: options.graceSeconds,
    });
  }

  /** Holds a task: a running one at its next checkpoint, or at once with `force`, losing its progress (`SAM-69`). */
  pause(
    taskId: string,
    options: CallOptions & { readonly reason?: string; readonly force?: boolean } = {},
  ): Promise<ControlAnswer> {
    return this.#control(taskId, 'pause', options, { reason: options.reason, force: options.force });
  }

  /** Queues a paused task again. */
  resume(taskId: string, options: CallOptions = {}): Promise<ControlAnswer> {
    return this.#control(taskId, 'resume', options, {});
  }

  /** Starts a new task of the same specification as one that failed, timed out or was cancelled (`SAM-70`). */
  retry(taskId: string, options: CallOptions & { readonly newTaskId?: string } = {}): Promise<Acceptance> {
    return this.#control(taskId, 'retry', options, { new_task_id: options.newTaskId });
  }

  /** Trades an API key for a JWT, narrowed to `scope` where given (`SAM-16`). */
  token(key: {
    readonly apiKey: string;
    readonly apiSecret: string;
    readonly scope?: string | undefined;
  }): Promise<TokenAnswer> {
    return this.#transport.json({
      method: 'POST',
      path: '/api/v2/auth/token',
      json: {
        grant_type: 'client_credentials',
        client_id: key.apiKey,
        client_secret: key.apiSecret,
        scope: key.scope,
      },
      anonymous: true,
    });
  }

  /** Trades a refresh token for the next pair; the old one is spent (`SAM-17`). Never repeated: a lost answer needs a new login. */
  refresh(refreshToken: string): Promise<TokenAnswer> {
    return this.#transport.json({
      method: 'POST',
      path: '/api/v2/auth/refresh',
      json: { grant_type: 'refresh_token', refresh_token: refreshToken },
      anonymous: true,
      idempotencyKey: false,
    });
  }

  /** Ends a token's life at once; harmless if it has ended (`SAM-17`). */
  async revoke(token: string): Promise<void> {
    await this.#transport.json({ method: 'POST', path: '/api/v2/auth/revoke', json: { token } });
  }

  /** How the server is, an unhealthy one included (`SAM-198`). Asked once: what cannot be reached throws at once. */
  health(options: CallOptions = {}): Promise<HealthAnswer> {
    return this.#transport.json({
      method: 'GET',
      path: '/api/v2/health',
      signal: options.signal,
      goodStatuses: [503],
      idempotencyKey: false,
    });
  }

  /** One exchange of a worker (`SAM-131`). Never repeated here: the worker that calls it knows what still needs saying. */
  async work(
    request: WorkRequest,
    options: CallOptions = {},
  ): Promise<WorkAnswer & { readonly serverNow: number }> {
    const { answer, serverNow } = await this.#transport.jsonAndTime<WorkAnswer>({
      method: 'POST',
      path: '/api/v2/work',
      json: request,
      headers: UNPACKED,
      idempotencyKey: false,
      signal: options.signal,
      timeoutMs: (request.wait_seconds + 15) * 1000,
    });
    return { ...answer, serverNow };
  }

  #control<Answer>(taskId: string, verb: string, options: CallOptions, json: object): Promise<Answer> {
    return this.#transport.json({
      method: 'POST',
      path: `/api/v2/tasks/${at(taskId)}/${verb}`,
      json,
      signal: options.signal,
      idempotencyKey: options.idempotencyKey,
    });
  }

  #completed(task: TaskRequest): TaskRequest {
    return {
      ...task,
      task_id: task.task_id ?? crypto.randomUUID(),
      orchestrator_info: {
        ...task.orchestrator_info,
        agent_id: task.orchestrator_info?.agent_id ?? this.#agentId,
        timestamp: task.orchestrator_info?.timestamp ?? new Date(this.clock.now()).toISOString(),
      },
    };
  }
}

function at(id: string): string {
  return encodeURIComponent(id);
}
