// The SDK: hand tasks in, run them, and hear what became of them, from any program that has `fetch`.

export type { Json, JsonObject } from '../domain/json.ts';
export {
  Agent,
  type AgentOptions,
  type AskOptions,
  type LetterContext,
  type LetterHandler,
  LetterRejected,
  type Outgoing,
  type TaskLetter,
} from './agent.ts';
export type * from './approvals.ts';
export {
  type Counters,
  TaskAborted,
  type TaskContext,
  type TaskHandler,
  type WorkTask,
} from './attempt.ts';
export { BatutaClient, type CallOptions } from './client.ts';
export type { Credentials } from './credentials.ts';
export * from './errors.ts';
export type { FollowOptions } from './follow.ts';
export type * from './mail.ts';
export {
  Orchestrator,
  type OrchestratorOptions,
  type SubmitOutcome,
  type TaskOrder,
  type WaitOptions,
} from './orchestrator.ts';
export { outcomeOf, outputOf, type TaskOutput } from './outcome.ts';
export type { PipePosition, WriteOutcome } from './pipes.ts';
export {
  type Acknowledgement,
  type ReceiverOptions,
  type WebhookBody,
  type WebhookCallback,
  type WebhookCallbacks,
  webhookReceiver,
} from './receiver.ts';
export type { ArtifactDownload, ArtifactUpload } from './resources.ts';
export type * from './schedules.ts';
export type { SigningKey, SigningScheme } from './signing.ts';
export type { InputChunk, InputOptions, StepInput } from './step-input.ts';
export type { OutputOptions, StepOutput } from './step-pipes.ts';
export type { ClientOptions, RetryOptions, Sendable } from './transport.ts';
export * from './webhooks.ts';
export * from './wire.ts';
export * from './wire-admin.ts';
export type * from './wording.ts';
export { type StopOptions, Worker, type WorkerOptions } from './worker.ts';
export type { PipeView, WorkflowRunView, WorkflowView } from './workflows.ts';
