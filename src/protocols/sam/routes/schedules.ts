// Schedules: orders handed in again and again, by cron or interval.

import Type, { type Static } from 'typebox';
import type { JsonObject } from '../../../domain/json.ts';
import {
  CATCH_UP_POLICIES,
  OVERLAP_POLICIES,
  type Schedule,
  type ScheduleOrder,
  type Timing,
} from '../../../domain/schedule.ts';
import type { EngineApi } from '../../../engine/api.ts';
import type { AuditRecorder } from '../../../guards/audit.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { Random } from '../../../runtime/random.ts';
import type { Call, Route } from '../../protocol.ts';
import { type Fault, instantOf } from '../../validation.ts';
import { answerTo } from '../admission.ts';
import { recordAction } from '../audited.ts';
import { type DecodeDeps, decodeTask } from '../decode.ts';
import { invalidRequest, refuseForeignAgent, refuseForeignType } from '../refusals.ts';
import { json, PREFIX, route } from '../route.ts';
import { admitted, nothing, pageOf, rejected } from '../schema/answers.ts';
import { orchestratorInfo, type TaskBody, taskBody } from '../schema/task.ts';
import { instant, instantSchema, paging } from '../vocabulary.ts';

/** What the schedules' routes need. */
export interface ScheduleDeps extends DecodeDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly engine: Pick<EngineApi, 'schedules' | 'defaultTimeoutMs' | 'defaultResources'>;
  readonly audit: AuditRecorder;
}

const NEXT_SHOWN = 5;
const WORDS = ['scheduled_at', 'scheduled_date', 'scheduled_unix', 'previous_at', 'schedule_id'];

/** The ids of runs are longer by their instant. */
const scheduleId = Type.String({ pattern: '^[A-Za-z0-9._:-]{1,150}$' });

const template = Type.Object(
  {
    ...taskBody.properties,
    task_id: Type.Optional(Type.String({ description: 'Ignored: each run has an id of its own.' })),
    orchestrator_info: Type.Object({
      ...orchestratorInfo.properties,
      timestamp: Type.Optional(instantSchema),
    }),
  },
  {
    description: `As execute-task takes it; ${WORDS.map(word => `\${${word}}`).join(', ')} in its texts are replaced.`,
  },
);

const newSchedule = Type.Object({
  schedule_id: Type.Optional(scheduleId),
  cron: Type.Optional(
    Type.String({ minLength: 1, maxLength: 100, description: 'Five fields, or `@daily`.' }),
  ),
  timezone: Type.Optional(
    Type.String({ minLength: 1, maxLength: 64, description: 'IANA name, for `cron`; UTC when absent.' }),
  ),
  interval: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 31_536_000, description: 'Seconds, in place of `cron`.' }),
  ),
  task: template,
  overlap: Type.Optional(
    Type.Enum([...OVERLAP_POLICIES], {
      description: 'While the run before has not ended; `skip` when absent.',
    }),
  ),
  catch_up: Type.Optional(
    Type.Enum([...CATCH_UP_POLICIES], { description: 'Of runs missed by a downtime; `once` when absent.' }),
  ),
  catch_up_max: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 100, description: 'Runs made up for under `all`; 10 when absent.' }),
  ),
  jitter: Type.Optional(
    Type.Number({ minimum: 0, maximum: 86_400, description: 'Seconds a run may start later.' }),
  ),
  start_at: Type.Optional(instantSchema),
  end_at: Type.Optional(instantSchema),
});

type NewSchedule = Static<typeof newSchedule>;

const scheduleAnswer = Type.Object(
  {
    schedule_id: Type.String(),
    state: Type.Enum(['active', 'paused', 'ended']),
    next_runs: Type.Array(Type.String({ format: 'date-time' })),
    runs: Type.Integer(),
    skipped: Type.Integer(),
  },
  { description: 'A schedule, what became of it so far, and when its next runs are due.' },
);

const params = Type.Object({ schedule_id: scheduleId });
const common = { tag: 'schedules', access: 'task:execute', rate: 'standard' } as const;
const one = `${PREFIX}/schedules/:schedule_id`;

/** The routes that keep schedules. */
export function scheduleRoutes(deps: ScheduleDeps): readonly Route[] {
  return [...keepingRoutes(deps), ...steeringRoutes(deps), runRoute(deps)];
}

function keepingRoutes(deps: ScheduleDeps): readonly Route[] {
  const { schedules } = deps.engine;
  return [
    route({
      ...common,
      method: 'POST',
      path: `${PREFIX}/schedules`,
      summary: 'Hand a task in again and again',
      body: newSchedule,
      answers: { 201: scheduleAnswer },
      async handle(call) {
        const order = await orderIn(call, deps);
        const schedule = await schedules.create(order);
        recordAction(deps.audit, call, 'schedule.created', schedule.id, { task_type: order.template.type });
        return json(201, wireSchedule(schedule, deps));
      },
    }),
    route({
      ...common,
      method: 'GET',
      path: `${PREFIX}/schedules`,
      summary: 'The schedules of the tenant, oldest first',
      rate: 'status',
      query: Type.Object(paging),
      answers: { 200: pageOf('schedules') },
      async handle({ principal, query: { limit, offset } }) {
        const all = await schedules.list(principal.tenant);
        const shown = all.slice(offset, offset + limit).map(schedule => wireSchedule(schedule, deps));
        return json(200, { schedules: shown, total: all.length, limit, offset });
      },
    }),
    route({
      ...common,
      method: 'GET',
      path: one,
      summary: 'A schedule and when its next runs are due',
      rate: 'status',
      params,
      answers: { 200: scheduleAnswer },
      async handle({ principal, params: { schedule_id: id } }) {
        return json(200, wireSchedule(await schedules.get(principal.tenant, id), deps));
      },
    }),
  ];
}

function steeringRoutes(deps: ScheduleDeps): readonly Route[] {
  const { schedules } = deps.engine;
  return [
    ...(['pause', 'resume'] as const).map(verb =>
      route({
        ...common,
        method: 'POST',
        path: `${one}/${verb}`,
        summary:
          verb === 'pause' ? 'Make no more runs' : 'Make runs again, none of those that were due meanwhile',
        params,
        answers: { 200: scheduleAnswer },
        async handle(call) {
          await requireOwn(call, deps);
          const schedule = await schedules[verb](call.principal.tenant, call.params.schedule_id);
          recordAction(deps.audit, call, `schedule.${verb}d`, schedule.id);
          return json(200, wireSchedule(schedule, deps));
        },
      }),
    ),
    route({
      ...common,
      method: 'DELETE',
      path: one,
      summary: 'Forget a schedule; its runs go on',
      params,
      answers: { 204: nothing },
      async handle(call) {
        const { schedule_id: id } = call.params;
        await requireOwn(call, deps);
        await schedules.remove(call.principal.tenant, id);
        recordAction(deps.audit, call, 'schedule.deleted', id);
        return { kind: 'empty', status: 204 };
      },
    }),
  ];
}

function runRoute(deps: ScheduleDeps): Route {
  const { engine, clock } = deps;
  return route({
    ...common,
    method: 'POST',
    path: `${one}/run`,
    summary: 'Make a run at once, whatever else runs',
    params,
    answers: { 200: admitted, 422: rejected },
    async handle(call) {
      await requireOwn(call, deps);
      const admission = await engine.schedules.runNow(call.principal.tenant, call.params.schedule_id);
      if (admission.kind === 'refused') throw admission.error;
      const { requestId, traceId, origin } = call;
      const { status, body } = answerTo(admission, { requestId, traceId, now: clock.now(), origin });
      return json(status, body);
    },
  });
}

/** Throws `forbidden` where the credential could not have made the schedule: it may not have its tasks run either. */
async function requireOwn(
  { principal, params }: Call<unknown, unknown, { readonly schedule_id: string }>,
  { engine }: Pick<ScheduleDeps, 'engine'>,
): Promise<void> {
  const { template: made } = await engine.schedules.get(principal.tenant, params.schedule_id);
  refuseForeignType(principal, made.type);
  refuseForeignAgent(principal, made.requester.agentId);
}

async function orderIn(call: Call<NewSchedule>, deps: ScheduleDeps): Promise<ScheduleOrder> {
  const { principal, body } = call;
  const faults: Fault[] = [];
  if ((body.cron === undefined) === (body.interval === undefined))
    faults.push({ field: 'cron', message: 'must stand in place of interval, or interval in place of it' });
  if (body.timezone !== undefined && body.cron === undefined)
    faults.push({ field: 'timezone', message: 'goes with cron only' });
  if (body.overlap === 'queue' && body.task.execution_config?.concurrency !== undefined)
    faults.push({
      field: 'overlap',
      message: 'queue is a concurrency key of its own: it does not go with execution_config.concurrency',
    });
  if (faults.length > 0) throw invalidRequest(faults);
  const id = body.schedule_id ?? deps.random.uuid();
  const task = {
    ...body.task,
    task_id: id,
    orchestrator_info: { timestamp: instant(deps.clock.now()), ...body.task.orchestrator_info },
  } as TaskBody;
  const { traceId, traceparent, steps } = call;
  const { spec } = await decodeTask(task, { principal, headers: {}, traceId, traceparent, steps }, deps);
  // Each run begins a trace of its own.
  const { traceparent: _, ...kept } = spec;
  return {
    tenant: principal.tenant,
    id,
    timing: timingIn(body),
    template: kept,
    written: writtenIn(body.task),
    overlap: body.overlap ?? 'skip',
    catchUp: body.catch_up ?? 'once',
    catchUpMax: body.catch_up_max ?? 10,
    jitterMs: Math.round((body.jitter ?? 0) * 1_000),
    startAt: body.start_at === undefined ? null : instantOf(body.start_at),
    endAt: body.end_at === undefined ? null : instantOf(body.end_at),
    actor: principal.id,
  };
}

function timingIn({ cron, timezone = 'UTC', interval = 0 }: NewSchedule): Timing {
  if (cron !== undefined) return { by: 'cron', cron, timezone };
  return { by: 'interval', everyMs: interval * 1_000 };
}

/** A webhook's secret is shown to nobody. */
function writtenIn(task: NewSchedule['task']): JsonObject {
  const { notification_config: notification, ...rest } = task;
  if (notification === undefined) return rest as JsonObject;
  const { webhook_secret: _, ...shown } = notification;
  return { ...rest, notification_config: shown } as JsonObject;
}

function wireSchedule(schedule: Schedule, { engine }: Pick<ScheduleDeps, 'engine'>): JsonObject {
  const { timing, lastRun } = schedule;
  return {
    schedule_id: schedule.id,
    state: schedule.state,
    ...(timing.by === 'cron'
      ? { cron: timing.cron, timezone: timing.timezone }
      : { interval: timing.everyMs / 1_000 }),
    overlap: schedule.overlap,
    catch_up: schedule.catchUp,
    ...(schedule.catchUp === 'all' ? { catch_up_max: schedule.catchUpMax } : {}),
    ...(schedule.jitterMs === 0 ? {} : { jitter: schedule.jitterMs / 1_000 }),
    ...(schedule.startAt === null ? {} : { start_at: instant(schedule.startAt) }),
    ...(schedule.endAt === null ? {} : { end_at: instant(schedule.endAt) }),
    task: schedule.written,
    correlation_id: `schedule:${schedule.id}`,
    next_runs: engine.schedules.next(schedule, NEXT_SHOWN).map(instant),
    last_run:
      lastRun === null ? null : { task_id: lastRun.taskId, scheduled_at: instant(lastRun.scheduledAt) },
    runs: schedule.runs,
    skipped: schedule.skipped,
    last_error: schedule.lastError,
    created_at: instant(schedule.createdAt),
    created_by: schedule.actor,
  };
}
