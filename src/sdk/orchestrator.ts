// The orchestrator's side: hand tasks in, wait for what they give, watch, cancel, and receive webhooks.

import type { NotificationEvent } from '../domain/event.ts';
import type { JsonObject } from '../domain/json.ts';
import type { TaskType } from '../domain/task.ts';
import type { BatutaClient } from './client.ts';
import { Crowd } from './crowd.ts';
import { BatutaError, errorOf, WaitTimeoutError } from './errors.ts';
import { outputOf, type TaskOutput } from './outcome.ts';
import { type ReceiverOptions, type WebhookCallbacks, webhookReceiver } from './receiver.ts';
import { EndWatch } from './waiting.ts';
import type {
  Acceptance,
  ControlAnswer,
  ExecutionConfig,
  StreamEvent,
  TaskRequest,
  WirePriority,
} from './wire.ts';

/** A task to be done, in few words; what is absent is the server's default. */
export interface TaskOrder {
  /** A built-in type, or `custom:<name>` for a worker's own. */
  readonly type: Exclude<TaskType, 'custom'> | `custom:${string}`;
  readonly data: JsonObject;
  /**
   * Yours, unique in the tenant. An identical request does nothing twice, but the server holds the time of the order to be part of it:
   * whoever may hand an order in again gives `orderedAt`, or gets a `ConflictError` the second time.
   */
  readonly id?: string;
  readonly orderedAt?: Date;
  readonly description?: string;
  readonly priority?: WirePriority;
  /** Seconds of running time over all attempts. */
  readonly timeoutSeconds?: number;
  readonly retriesMax?: number;
  /** Tasks that must have completed first. */
  readonly dependsOn?: readonly string[];
  readonly notBefore?: Date;
  /** Capabilities the worker of a custom task must have. */
  readonly requiredCapabilities?: readonly string[];
  readonly webhook?: {
    readonly url: string;
    readonly secret?: string;
    readonly events?: readonly NotificationEvent[];
  };
  readonly labels?: Readonly<Record<string, string>>;
  readonly correlationId?: string;
  /** Whatever else execute-task takes; the fields above win over it. */
  readonly more?: Partial<TaskRequest>;
}

/** What became of one order among many. */
export type SubmitOutcome =
  | { readonly taskId: string; readonly acceptance: Acceptance }
  | { readonly taskId: string; readonly error: BatutaError };

/** Who this orchestrator is; the ids stand in every order and are list filters (`SAM-32`). */
export interface OrchestratorOptions {
  readonly client: BatutaClient;
  readonly agentId: string;
  readonly sessionId?: string;
  readonly userId?: string;
}

/** How long to wait for a task. */
export interface WaitOptions {
  readonly signal?: AbortSignal;
  /** Rejects with a `WaitTimeoutError` when the task has not ended by then, in milliseconds; the task itself goes on. */
  readonly timeoutMs?: number;
}

const BATCH_MAX = 1_000;
/** Submits with a request of their own; whoever comes while so many are under way shares one, with this many others at most. */
const SUBMITS_UNDER_WAY_MAX = 4;
const SHARED_MAX = 100;
const TOO_LARGE = 413;

type NamedRequest = TaskRequest & { readonly task_id: string };

/** Gives tasks out and learns what became of them. */
export class Orchestrator {
  readonly #client: BatutaClient;
  readonly #options: OrchestratorOptions;
  readonly #ends: EndWatch;
  readonly #submits: Crowd<NamedRequest, Acceptance>;

  constructor(options: OrchestratorOptions) {
    this.#client = options.client;
    this.#options = options;
    this.#ends = new EndWatch(options.client);
    this.#submits = new Crowd({
      alone: request => this.#client.execute(request),
      together: requests => this.#together(requests),
      underWayMax: SUBMITS_UNDER_WAY_MAX,
      togetherMax: SHARED_MAX,
    });
  }

  /** Hands a task in; answered once it is durable. What many callers hand in at once shares requests. */
  submit(order: TaskOrder): Promise<Acceptance> {
    return this.#submits.add(this.requestOf(order));
  }

  /** Hands in any number of tasks, a thousand a call, answering each in order; one refused does not hinder the others. */
  async submitMany(orders: readonly TaskOrder[]): Promise<readonly SubmitOutcome[]> {
    const outcomes: SubmitOutcome[] = [];
    for (let start = 0; start < orders.length; start += BATCH_MAX) {
      const requests = orders.slice(start, start + BATCH_MAX).map(order => this.requestOf(order));
      outcomes.push(...(await this.#batch(requests)));
    }
    return outcomes;
  }

  /** What the task gives once it completes; throws `TaskFailedError` if it ends otherwise. Survives restarts of the server. */
  async wait(taskId: string, options: WaitOptions = {}): Promise<TaskOutput> {
    const { timeoutMs } = options;
    if (timeoutMs === undefined) return this.#waited(taskId, options.signal);
    const late = new AbortController();
    const cancel = this.#client.clock.after(timeoutMs, () =>
      late.abort(
        new WaitTimeoutError({
          code: 'WAIT_TIMED_OUT',
          message: `task ${taskId} had not ended after ${timeoutMs} ms`,
          status: 0,
        }),
      ),
    );
    try {
      const signals = options.signal === undefined ? [late.signal] : [late.signal, options.signal];
      return await this.#waited(taskId, AbortSignal.any(signals));
    } finally {
      cancel();
    }
  }

  /** Hands a task in and waits for what it gives. */
  async run(order: TaskOrder, options: WaitOptions = {}): Promise<TaskOutput> {
    const { task_id } = await this.submit(order);
    return this.wait(task_id, options);
  }

  /** The task's events as they happen, each once and in order, until its end. */
  watch(
    taskId: string,
    options: { readonly lastEventId?: string; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<StreamEvent, void> {
    return this.#client.events(taskId, options);
  }

  /** Ends the task wherever it is; repeating it is harmless. */
  cancel(taskId: string, reason?: string): Promise<ControlAnswer> {
    return this.#client.cancel(taskId, reason === undefined ? {} : { reason });
  }

  /** A handler for a web-standard server: verifies each webhook, drops repeats, calls back by event, acknowledges. */
  webhooks(
    secret: string | readonly string[],
    callbacks: WebhookCallbacks,
    options: ReceiverOptions = {},
  ): (request: Request) => Promise<Response> {
    return webhookReceiver(secret, callbacks, { clock: this.#client.clock, ...options });
  }

  /** The order as execute-task takes it, for those who send it by other means. */
  requestOf(order: TaskOrder): NamedRequest {
    const { more, webhook } = order;
    const typeName = order.type.startsWith('custom:') ? order.type.slice('custom:'.length) : undefined;
    return {
      ...more,
      task_id: order.id ?? more?.task_id ?? crypto.randomUUID(),
      task_type: typeName === undefined ? (order.type as TaskType) : 'custom',
      description: order.description ?? more?.description ?? `${order.type} for ${this.#options.agentId}`,
      task_data:
        typeName === undefined
          ? order.data
          : {
              ...order.data,
              type_name: typeName,
              ...(order.requiredCapabilities === undefined
                ? {}
                : { required_capabilities: order.requiredCapabilities }),
            },
      priority: order.priority ?? more?.priority,
      timeout: order.timeoutSeconds ?? more?.timeout,
      orchestrator_info: {
        ...more?.orchestrator_info,
        agent_id: this.#options.agentId,
        timestamp: order.orderedAt?.toISOString() ?? more?.orchestrator_info?.timestamp,
        session_id: this.#options.sessionId ?? more?.orchestrator_info?.session_id,
        user_id: this.#options.userId ?? more?.orchestrator_info?.user_id,
        correlation_id: order.correlationId ?? more?.orchestrator_info?.correlation_id,
      },
      execution_config: configOf(order),
      notification_config:
        webhook === undefined
          ? more?.notification_config
          : {
              ...more?.notification_config,
              webhook_url: webhook.url,
              webhook_secret: webhook.secret,
              notification_events: webhook.events,
            },
    };
  }

  async #batch(requests: readonly NamedRequest[]): Promise<readonly SubmitOutcome[]> {
    const items = await this.#client.executeBatch(requests);
    return requests.map(({ task_id: taskId }, index) => {
      const { http_status: status, body } = items[index] ?? { http_status: 500, body: {} };
      if (status < 300) return { taskId, acceptance: body as unknown as Acceptance };
      return { taskId, error: refusalOf(status, body) };
    });
  }

  /** Strangers to each other: should they be too large together, each goes alone. */
  async #together(requests: readonly NamedRequest[]): Promise<readonly PromiseSettledResult<Acceptance>[]> {
    try {
      const outcomes = await this.#batch(requests);
      return outcomes.map(outcome =>
        'error' in outcome
          ? { status: 'rejected', reason: outcome.error }
          : { status: 'fulfilled', value: outcome.acceptance },
      );
    } catch (error) {
      if (!(error instanceof BatutaError) || error.status !== TOO_LARGE) throw error;
      return Promise.allSettled(requests.map(request => this.#client.execute(request)));
    }
  }

  async #waited(taskId: string, signal: AbortSignal | undefined): Promise<TaskOutput> {
    return outputOf(await this.#ends.ended(taskId, signal));
  }
}

function configOf(order: TaskOrder): ExecutionConfig | undefined {
  const config: ExecutionConfig = {
    ...order.more?.execution_config,
    ...(order.retriesMax === undefined ? {} : { max_retries: order.retriesMax }),
    ...(order.dependsOn === undefined ? {} : { depends_on: order.dependsOn }),
    ...(order.labels === undefined ? {} : { labels: order.labels }),
    ...(order.notBefore === undefined ? {} : { not_before: order.notBefore.toISOString() }),
  };
  return Object.keys(config).length === 0 ? undefined : config;
}

function refusalOf(status: number, body: JsonObject): BatutaError {
  const error = (body.error ?? {}) as JsonObject;
  return errorOf({
    code: typeof error.code === 'string' ? error.code : `HTTP_${status}`,
    message: typeof error.message === 'string' ? error.message : `refused with ${status}`,
    status,
    details: (error.details ?? {}) as JsonObject,
    retryAfterMs: typeof error.retry_after === 'number' ? error.retry_after * 1000 : undefined,
  });
}
