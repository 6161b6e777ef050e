// What the engine needs of a wire that carries messages: where a message goes, and how the wire says what the engine has to say.

import type { Agent } from '../../domain/agent.ts';
import type { DomainError } from '../../domain/errors.ts';
import type { TaskEvent } from '../../domain/event.ts';
import type { AgentId, TenantId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { Draft, InboxName, Message } from '../../domain/message.ts';
import type { Subscription } from '../../domain/subscription.ts';
import type { Task, WorkType } from '../../domain/task.ts';

/** What must hold of a completed task's output before anybody is told of it. */
export interface ReleaseTerms {
  /** It does not offend (`ARMY-73`). */
  readonly refusesOffence: boolean;
  /** It is valid: what a request for its validation says beside the content (`ARMY-77`); null where that need not be. */
  readonly validation: JsonObject | null;
  /** A person lets it go (`ARMY-79`); null where nobody is asked. */
  readonly review: { readonly title: string; readonly message: string } | null;
}

/** One inbox a message goes to, and what keeps its order there: the sender, or in a shared inbox the exchange. */
export interface MailRoute {
  readonly inbox: InboxName;
  readonly lane: string;
  /** Not to be read earlier than this instant, epoch milliseconds. */
  readonly notBefore?: number;
}

/** A review that a person is to decide on. */
export interface OpenReview {
  readonly tenant: TenantId;
  readonly id: string;
  readonly title: string;
  readonly message: string;
  readonly content: Json;
  /** The task whose output it is. */
  readonly task: Task;
}

/** A message nobody will get, or what could not be made one. */
export type Lost = Pick<Message, 'tenant' | 'id' | 'type' | 'taskId' | 'correlationId' | 'traceId'>;

/** One try to call a subscriber with a message. */
export interface CallTry {
  readonly subscription: string;
  /** From 1. */
  readonly attempt: number;
  /** Without what its query may keep secret. */
  readonly endpoint: string;
  readonly outcome: 'delivered' | 'retry' | 'fail';
  /** Null where there was no answer. */
  readonly status: number | null;
  /** Null where there is no further try. */
  readonly retryInMs: number | null;
}

/** A wire as the mailroom sees it. */
export interface MessageWire {
  readonly name: string;
  /** Where a message goes, none where it only enters the log; throws where one of its receivers is nobody. */
  route(draft: Draft): Promise<readonly MailRoute[]>;
  /** The message in this wire's words; throws `unprocessable` where it has none. */
  encode(message: Message): JsonObject;
  /** Whether a subscriber is to be told of a message: it is of a type it wants, its filter holds, and it may see it. */
  wants(message: Message, subscription: Subscription): boolean;
  /** That a message was refused or died after it was accepted; null where its sender is not to be told, as about an error. */
  refusal(message: Message, error: DomainError): Draft | null;
  /** What is published of a message that is past help, the same each time, and told to operators; absent or null: nothing. */
  unrecoverable?(lost: Lost, error: DomainError): Draft | null;
  /** What is published of a try to call a subscriber; absent or null: nothing. */
  callTried?(message: Message, tried: CallTry): Draft | null;
  /** What stands beside a message wherever it is published, by name; absent: nothing. */
  headersOf?(message: Message): Readonly<Record<string, string | null>>;
  /** What an agent can do by its roles and name, beside the capabilities it was registered with; absent: nothing. */
  abilitiesOf?(agent: Pick<Agent, 'id' | 'roles'>): readonly string[];
  /** The types of work an agent takes by what it is on this wire, beside those it registered for. */
  typesOf?(agent: Pick<Agent, 'id' | 'roles'>): readonly WorkType[];
  /** Whether an agent is asked for a first attempt by the very message that asked for the task, as it came; absent: always. */
  reachesAsIs?(original: Message): boolean;
  /**
   * The request for an attempt of a task, to the agent that was given it; `original` is the message that asked for the task. `handoff`:
   * what is known of how the attempt came to it from another agent; such a request has an id of its own.
   */
  taskRequest(task: Task, agent: AgentId, original: Message | null, handoff?: JsonObject): Draft;
  /** The order to an agent to stop a task it holds. */
  taskStop(task: Task, agent: AgentId, reason: string): Draft;
  /** What those who asked by this wire, and the holder, are told of an event of a task; each with an id that is the same every time. */
  taskNews(task: Task, event: TaskEvent): readonly Draft[] | Promise<readonly Draft[]>;
  /** What a sender is told once its message was acknowledged in an inbox, the same each time; null where it does not want to know. */
  receipt?(message: Message, inbox: InboxName): Draft | null;
  /** Tasks it tells of beside those that were asked for by it, such as steps of a workflow that was. */
  tellsOf?(task: Task): boolean;
  /** What holds back the output of a completed task; absent or null where nothing of this wire's own does. Answers the same every time. */
  releaseTerms?(task: Task): ReleaseTerms | null;
  /** What of a completed task's output is judged where it must be valid; absent: all of it. */
  contentOf?(task: Task): Json;
  /** Tells who reviews in this wire's words that a review was opened; said again, it is the same message. */
  reviewAsked?(review: OpenReview): readonly Draft[];
  /** Tells who asked by a message for a review of content what was decided; `verdict` as `tell_validation` has it. */
  reviewed?(message: Message, verdict: JsonObject): readonly Draft[];
}
