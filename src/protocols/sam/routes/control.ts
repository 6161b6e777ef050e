// Steering tasks: cancel, pause, resume, retry (`SAM-66` to `SAM-70`).

import Type from 'typebox';
import type { TaskId } from '../../../domain/ids.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { Task } from '../../../domain/task.ts';
import type { ControlCall, EngineApi } from '../../../engine/api.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { Call, Route } from '../../protocol.ts';
import { answerTo } from '../admission.ts';
import { invalidRequest, namingTask } from '../refusals.ts';
import { rerun } from '../rerun.ts';
import { json, PREFIX, route } from '../route.ts';
import { admitted, controlled, rejected } from '../schema/answers.ts';
import { callerId, samState } from '../vocabulary.ts';

/** What steering needs. */
export interface ControlDeps {
  readonly clock: Clock;
  readonly engine: Pick<EngineApi, 'cancel' | 'pause' | 'resume' | 'retry' | 'submit' | 'task'>;
}

const params = Type.Object({ task_id: callerId });
const reason = Type.Optional(Type.String({ maxLength: 1_000 }));
const common = { method: 'POST', tag: 'tasks', access: 'task:control', rate: 'standard', params } as const;

const cancelBody = Type.Object({
  reason,
  grace_seconds: Type.Optional(Type.Number({ minimum: 0, maximum: 600, description: '10 when absent.' })),
});

const pauseBody = Type.Object({
  reason,
  force: Type.Optional(Type.Boolean({ description: 'Even without a checkpoint.' })),
});

/** The routes that steer tasks. */
export function controlRoutes(deps: ControlDeps): readonly Route[] {
  const { engine } = deps;
  return [
    route({
      ...common,
      path: `${PREFIX}/tasks/:task_id/cancel`,
      summary: 'End a task in any state before an end',
      body: cancelBody,
      answers: { 200: controlled },
      async handle(call) {
        const { grace_seconds: grace } = call.body;
        const order = orderOf(call, call.params.task_id, call.body.reason);
        const wish = grace === undefined ? order : { ...order, graceMs: Math.round(grace * 1_000) };
        return json(200, wireTask(await engine.cancel(wish).catch(naming(order))));
      },
    }),
    route({
      ...common,
      path: `${PREFIX}/tasks/:task_id/pause`,
      summary: 'Hold a queued task, or a running one at its next checkpoint',
      body: pauseBody,
      answers: { 200: controlled },
      async handle(call) {
        const { force = false } = call.body;
        const order = orderOf(call, call.params.task_id, call.body.reason);
        return json(200, wireTask(await engine.pause({ ...order, force }).catch(naming(order))));
      },
    }),
    route({
      ...common,
      path: `${PREFIX}/tasks/:task_id/resume`,
      summary: 'Queue a paused task again',
      body: Type.Object({ reason }),
      answers: { 200: controlled },
      async handle(call) {
        const order = orderOf(call, call.params.task_id, call.body.reason);
        return json(200, wireTask(await engine.resume(order).catch(naming(order))));
      },
    }),
    retryRoute(deps),
  ];
}

function retryRoute({ engine, clock }: ControlDeps): Route {
  return route({
    ...common,
    path: `${PREFIX}/tasks/:task_id/retry`,
    summary: 'Start a new task of the same specification',
    body: Type.Object({
      reason,
      new_task_id: Type.Optional(callerId),
      from_step: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 63,
          description: 'Of a workflow: what completed before it is kept.',
        }),
      ),
      input: Type.Optional(
        Type.Object({}, { description: 'With `from_step`: in place of the first run’s input.' }),
      ),
    }),
    answers: { 200: admitted, 422: rejected },
    async handle(call) {
      const { new_task_id: newId, from_step: fromStep, input } = call.body;
      if (input !== undefined && fromStep === undefined)
        throw invalidRequest([{ field: 'input', message: 'needs from_step' }]);
      const order = orderOf(call, call.params.task_id, call.body.reason);
      const chosen = newId === undefined ? {} : { newId: newId as TaskId };
      const given = input === undefined ? {} : { input: input as JsonObject };
      const admission = await (fromStep === undefined
        ? engine.retry({ ...order, ...chosen })
        : rerun(engine, order, { fromStep, ...given, ...chosen })
      ).catch(naming(order));
      if (admission.kind === 'refused') throw admission.error;
      const { requestId, traceId, origin } = call;
      const { status, body } = answerTo(admission, { requestId, traceId, now: clock.now(), origin });
      return json(status, { ...body, retry_of: order.id });
    },
  });
}

function orderOf(
  { principal }: Pick<Call, 'principal'>,
  taskId: string,
  why: string | undefined,
): ControlCall {
  const { tenant, id: actor } = principal;
  const order = { tenant, actor, id: taskId as TaskId };
  return why === undefined ? order : { ...order, reason: why };
}

function naming({ id }: ControlCall): (error: unknown) => never {
  return error => {
    throw namingTask(error, id);
  };
}

function wireTask(task: Task): JsonObject {
  return {
    task_id: task.id,
    execution_id: task.executionId,
    state: samState(task.state, task.outcome),
    lifecycle_state: task.state,
    paused: task.state === 'paused',
    outcome: task.outcome,
    attempt: task.attempt,
  };
}
