// Handing in tasks: execute-task, one or many (`SAM-29` to `SAM-47`).

import Type from 'typebox';
import { asDomainError, DomainError } from '../../../domain/errors.ts';
import type { EngineApi, TaskOrder } from '../../../engine/api.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { Call, ErrorScene, Route } from '../../protocol.ts';
import { bodyCheck } from '../../validation.ts';
import { type Answered, answerTo, refusal } from '../admission.ts';
import { asTaskBody, type DecodeDeps, decodeTask } from '../decode.ts';
import { invalidRequest } from '../refusals.ts';
import { json, PREFIX, route } from '../route.ts';
import { admitted, batchAnswer, rejected } from '../schema/answers.ts';
import { taskBody, taskHeaders } from '../schema/task.ts';
import { anyObject } from '../vocabulary.ts';

/** What handing in needs. */
export interface ExecuteDeps extends DecodeDeps {
  readonly clock: Clock;
  readonly engine: Pick<EngineApi, 'submit' | 'defaultTimeoutMs' | 'defaultResources'>;
}

const BATCH_BYTES_MAX = 64 * 1024 * 1024;

const batchBody = Type.Object({
  tasks: Type.Array(anyObject, {
    minItems: 1,
    maxItems: 1_000,
    description: 'Bodies as execute-task takes them.',
  }),
  atomic: Type.Optional(Type.Boolean({ description: 'Admit all or none.' })),
});

/** The routes that take tasks. */
export function executeRoutes(deps: ExecuteDeps): readonly Route[] {
  return [executeOne(deps), executeMany(deps)];
}

function executeOne(deps: ExecuteDeps): Route {
  return route({
    method: 'POST',
    path: `${PREFIX}/execute-task`,
    summary: 'Hand in a task',
    tag: 'tasks',
    access: 'task:execute',
    rate: 'standard',
    idempotency: 'own',
    body: taskBody,
    headers: taskHeaders,
    answers: { 200: admitted, 422: rejected },
    async handle(call) {
      const order = await decodeTask(call.body, call, deps);
      const [admission] = await deps.engine.submit([order]);
      if (admission === undefined) throw new DomainError('internal', 'an order was not answered');
      if (admission.kind === 'refused') throw admission.error;
      const { status, body } = answerTo(admission, sceneOf(call, deps.clock));
      return json(status, body);
    },
  });
}

function executeMany(deps: ExecuteDeps): Route {
  const check = bodyCheck(taskBody);
  return route({
    method: 'POST',
    path: `${PREFIX}/execute-task/batch`,
    summary: 'Hand in up to 1,000 tasks',
    tag: 'tasks',
    access: 'task:execute',
    rate: 'standard',
    idempotency: 'own',
    body: batchBody,
    bodyBytesMax: BATCH_BYTES_MAX,
    answers: { 200: batchAnswer },
    async handle(call) {
      const { tasks, atomic = false } = call.body;
      const scene = sceneOf(call, deps.clock);
      const orders = await Promise.all(tasks.map(task => decodeOne(task, call, deps, check)));
      const answers = await submitDecoded(orders, atomic, scene, deps);
      const results = answers.map(({ status, body }, index) => ({
        task_id: taskIdOf(tasks[index]),
        http_status: status,
        body,
      }));
      return json(200, { results });
    },
  });
}

async function decodeOne(
  task: unknown,
  call: Call,
  deps: ExecuteDeps,
  check: ReturnType<typeof bodyCheck>,
): Promise<TaskOrder | DomainError> {
  const faults = check(task);
  if (faults !== null) return invalidRequest(faults);
  // Headers that stand for one task's fields cannot stand for those of a thousand.
  const scene = { ...sceneOfBatch(call), headers: {} };
  return decodeTask(asTaskBody(task), scene, deps).catch(asDomainError);
}

function sceneOfBatch({ principal, traceId, traceparent, steps }: Call) {
  return { principal, traceId, traceparent, steps };
}

async function submitDecoded(
  decoded: readonly (TaskOrder | DomainError)[],
  atomic: boolean,
  scene: ErrorScene,
  deps: ExecuteDeps,
): Promise<readonly Answered[]> {
  const orders = decoded.filter((one): one is TaskOrder => !(one instanceof DomainError));
  const spoiled = atomic && orders.length < decoded.length;
  const admissions = spoiled || orders.length === 0 ? [] : await deps.engine.submit(orders, { atomic });
  const answers = admissions.values();
  return decoded.map(one => {
    if (one instanceof DomainError) return refusal(one, scene);
    if (spoiled) return refusal(ABORTED, scene);
    const { value: admission } = answers.next();
    if (admission === undefined) throw new DomainError('internal', 'an order was not answered');
    return answerTo(admission, scene);
  });
}

const ABORTED = new DomainError('conflict', 'another task of the atomic batch was not accepted');

function taskIdOf(task: unknown): string | null {
  const { task_id: id } = task as { readonly task_id?: unknown };
  return typeof id === 'string' ? id : null;
}

function sceneOf(call: Call, clock: Clock): ErrorScene {
  return { requestId: call.requestId, traceId: call.traceId, now: clock.now(), origin: call.origin };
}
