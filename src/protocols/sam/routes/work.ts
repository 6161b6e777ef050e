// The exchange with remote workers: one call that tells and asks everything (`SAM-131` to `SAM-133`).

import Type, { type Static } from 'typebox';
import { ERROR_CODES, isErrorCode } from '../../../domain/errors.ts';
import type { AgentId, FencingToken, TaskId } from '../../../domain/ids.ts';
import type { Json, JsonObject } from '../../../domain/json.ts';
import type { TaskError, TaskMetrics } from '../../../domain/task.ts';
import type { EngineApi, WorkAnswer, WorkProgress, WorkRef, WorkResult } from '../../../engine/api.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { Call, Route } from '../../protocol.ts';
import { instantOf } from '../../validation.ts';
import { limitsOf } from '../decode.ts';
import { canonicalCode, wordedError } from '../errors.ts';
import { LEVEL_NAMES, levelOf } from '../records.ts';
import { refuseForeignAgent } from '../refusals.ts';
import { json, PREFIX, route } from '../route.ts';
import { resourceLimits } from '../schema/task.ts';
import { anyObject, callerId, instant, PIPE_NAME } from '../vocabulary.ts';
import { workerTask } from '../worker-task.ts';

/** What the exchange needs. */
export interface WorkDeps {
  readonly clock: Clock;
  readonly engine: Pick<EngineApi, 'work'>;
}

const ITEMS_MAX = 1_000;
const held = { task_id: callerId, fencing_token: Type.Integer({ minimum: 0 }) };
const name = Type.String({ minLength: 1, maxLength: 200 });
const count = Type.Optional(Type.Number({ minimum: 0 }));

const metrics = Type.Object({
  execution_time: count,
  memory_used: count,
  cpu_usage: count,
  api_calls: count,
  tokens_used: count,
  cost: count,
  bytes_sent: count,
  bytes_received: count,
});

const result = Type.Object({
  ...held,
  status: Type.Enum(['completed', 'failed']),
  output: Type.Optional(Type.Unknown()),
  error: Type.Optional(
    Type.Object({
      code: Type.Optional(Type.String()),
      message: Type.String(),
      recoverable: Type.Optional(Type.Boolean()),
      details: Type.Optional(anyObject),
    }),
  ),
  artifacts: Type.Optional(
    Type.Array(anyObject, { description: 'As the upload of each answered; they are kept already.' }),
  ),
  metrics: Type.Optional(metrics),
});

const progress = Type.Object({
  ...held,
  percentage: Type.Optional(Type.Number({ minimum: 0, maximum: 100 })),
  current_step: Type.Optional(Type.String({ maxLength: 1_000 })),
  total_steps: Type.Optional(Type.Integer({ minimum: 0 })),
  intermediate_result: Type.Optional(Type.Unknown()),
  checkpoint: Type.Optional(Type.Unknown()),
  input_positions: Type.Optional(
    Type.Record(
      Type.String({ pattern: PIPE_NAME }),
      Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
      {
        maxProperties: 100,
        description: 'Of each input that is read by checkpoint, the last chunk that the checkpoint includes.',
      },
    ),
  ),
});

const log = Type.Object({
  ...held,
  timestamp: Type.Optional(Type.String({ format: 'date-time' })),
  level: Type.Optional(Type.Enum([...LEVEL_NAMES, 'DEBUG', 'INFO', 'WARN', 'ERROR', 'CRITICAL'])),
  component: Type.Optional(name),
  message: Type.String(),
  metadata: Type.Optional(anyObject),
});

const many = { maxItems: ITEMS_MAX };

const workBody = Type.Object({
  agent_id: callerId,
  types: Type.Array(name, { maxItems: 100, description: 'Task types, or custom:<name>.' }),
  capabilities: Type.Optional(Type.Array(name, { maxItems: 100 })),
  region: Type.Optional(name),
  labels: Type.Optional(Type.Array(name, { maxItems: 20, description: 'As registered when absent.' })),
  version: Type.Optional(name),
  capacity: Type.Optional(resourceLimits),
  slots: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 100, description: 'Tasks wanted now; 0 when absent.' }),
  ),
  wait_seconds: Type.Optional(Type.Number({ minimum: 0, maximum: 60, description: '0 when absent.' })),
  results: Type.Optional(Type.Array(result, many)),
  progress: Type.Optional(Type.Array(progress, many)),
  logs: Type.Optional(Type.Array(log, many)),
  heartbeats: Type.Optional(Type.Array(Type.Object(held), many)),
});

const refSchema = { task_id: Type.String(), fencing_token: Type.Integer() };

const workAnswer = Type.Object(
  {
    leases: Type.Array(
      Type.Object({
        ...refSchema,
        execution_id: Type.String(),
        attempt: Type.Integer(),
        task: anyObject,
        checkpoint: Type.Unknown(),
        input_positions: Type.Optional(Type.Record(Type.String(), Type.Integer())),
        secrets: Type.Record(Type.String(), Type.String()),
        lease_expires_at: Type.String({ format: 'date-time' }),
      }),
    ),
    cancellations: Type.Array(Type.Object({ ...refSchema, reason: Type.String() })),
    extensions: Type.Array(
      Type.Object({ ...refSchema, lease_expires_at: Type.String({ format: 'date-time' }) }),
    ),
    rejected: Type.Array(Type.Object({ ...refSchema, item: Type.String(), error: anyObject })),
  },
  { description: 'Tasks to run, tasks to stop, leases kept, and what was not accepted.' },
);

/** The one route of remote workers. */
export function workRoutes({ engine, clock }: WorkDeps): readonly Route[] {
  return [
    route({
      method: 'POST',
      idempotency: 'own',
      path: `${PREFIX}/work`,
      summary: 'Report on tasks held and ask for more',
      tag: 'workers',
      access: 'task:write-result',
      rate: 'free',
      body: workBody,
      bodyBytesMax: 16 * 1024 * 1024,
      answers: { 200: workAnswer },
      async handle(call) {
        const { body, principal } = call;
        refuseForeignAgent(principal, body.agent_id);
        const waitMs = Math.round((body.wait_seconds ?? 0) * 1_000);
        const answer = await engine.work({
          tenant: principal.tenant,
          agentId: body.agent_id as AgentId,
          types: body.types,
          capabilities: body.capabilities ?? [],
          ...(body.region === undefined ? {} : { region: body.region }),
          ...(body.labels === undefined ? {} : { labels: body.labels }),
          ...(body.version === undefined ? {} : { version: body.version }),
          ...(body.capacity === undefined ? {} : { capacity: limitsOf(body.capacity) }),
          slots: body.slots ?? 0,
          waitMs,
          results: (body.results ?? []).map(resultOf),
          progress: (body.progress ?? []).map(progressOf),
          logs: (body.logs ?? []).map(line => logOf(line, clock.now())),
          heartbeats: (body.heartbeats ?? []).map(refOf),
          ...(waitMs > 0 ? { signal: call.signal } : {}),
        });
        return json(200, wireAnswer(answer, call));
      },
    }),
  ];
}

function refOf(from: { readonly task_id: string; readonly fencing_token: number }): WorkRef {
  return { taskId: from.task_id as TaskId, token: from.fencing_token as FencingToken };
}

function resultOf(from: Static<typeof result>): WorkResult {
  return {
    ...refOf(from),
    status: from.status,
    ...(from.output === undefined ? {} : { output: from.output as Json }),
    ...(from.error === undefined ? {} : { error: errorOf(from.error) }),
    ...(from.metrics === undefined ? {} : { metrics: metricsOf(from.metrics) }),
  };
}

/** A worker's error; one of a code nobody here knows is the task's own failure, and its code stays in the details. */
function errorOf(from: NonNullable<Static<typeof result>['error']>): TaskError {
  const named = from.code ?? 'EXECUTION_ERROR';
  const code = isErrorCode(named) ? named : canonicalCode(named);
  const details = (from.details ?? {}) as JsonObject;
  const known = code ?? 'task_failed';
  return {
    code: known,
    message: from.message,
    recoverable: from.recoverable ?? ERROR_CODES[known].retry === 'yes',
    details: code === null ? { ...details, worker_code: named } : details,
  };
}

function metricsOf(from: Static<typeof metrics>): TaskMetrics {
  return {
    ...(from.execution_time === undefined ? {} : { executionSeconds: from.execution_time }),
    ...(from.memory_used === undefined ? {} : { memoryPeakMb: from.memory_used }),
    ...(from.cpu_usage === undefined ? {} : { cpuMeanPercent: from.cpu_usage }),
    ...(from.api_calls === undefined ? {} : { apiCalls: from.api_calls }),
    ...(from.tokens_used === undefined ? {} : { tokensUsed: from.tokens_used }),
    ...(from.cost === undefined ? {} : { cost: from.cost }),
    ...(from.bytes_sent === undefined ? {} : { bytesSent: from.bytes_sent }),
    ...(from.bytes_received === undefined ? {} : { bytesReceived: from.bytes_received }),
  };
}

function progressOf(from: Static<typeof progress>): WorkProgress {
  return {
    ...refOf(from),
    report: {
      ...(from.percentage === undefined ? {} : { percentage: from.percentage }),
      ...(from.current_step === undefined ? {} : { currentStep: from.current_step }),
      ...(from.total_steps === undefined ? {} : { totalSteps: from.total_steps }),
      ...(from.intermediate_result === undefined ? {} : { intermediate: from.intermediate_result as Json }),
      ...(from.checkpoint === undefined ? {} : { checkpoint: from.checkpoint as Json }),
    },
    ...(from.input_positions === undefined ? {} : { positions: from.input_positions }),
  };
}

function logOf(from: Static<typeof log>, now: number) {
  return {
    ...refOf(from),
    at: from.timestamp === undefined ? now : instantOf(from.timestamp),
    level: levelOf(from.level ?? 'info'),
    ...(from.component === undefined ? {} : { component: from.component }),
    message: from.message,
    ...(from.metadata === undefined ? {} : { metadata: from.metadata as JsonObject }),
  };
}

function wireAnswer(answer: WorkAnswer, { origin }: Pick<Call, 'origin'>): JsonObject {
  return {
    leases: answer.leases.map(({ task, token, expiresAt, secrets, positions }) => ({
      task_id: task.id,
      execution_id: task.executionId,
      attempt: task.attempt,
      task: workerTask(task),
      checkpoint: task.checkpoint,
      ...(Object.keys(positions).length === 0 ? {} : { input_positions: positions }),
      secrets,
      fencing_token: token,
      lease_expires_at: instant(expiresAt),
    })),
    cancellations: answer.cancellations.map(({ taskId, token, reason }) => ({
      task_id: taskId,
      fencing_token: token,
      reason,
    })),
    extensions: answer.extensions.map(({ taskId, token, expiresAt }) => ({
      task_id: taskId,
      fencing_token: token,
      lease_expires_at: instant(expiresAt),
    })),
    rejected: answer.rejected.map(({ taskId, token, item, error }) => ({
      task_id: taskId,
      fencing_token: token,
      item,
      error: wordedError(error, origin),
    })),
  };
}
