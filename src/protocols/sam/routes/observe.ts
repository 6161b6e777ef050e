// Watching tasks: logs, metrics and the stream of events (`SAM-61`, `SAM-64`, `SAM-65`).

import { Readable } from 'node:stream';
import Type, { type Static } from 'typebox';
import type { Task } from '../../../domain/task.ts';
import { hasEnded } from '../../../domain/transitions.ts';
import type { EngineApi } from '../../../engine/api.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { LogQuery, Sample } from '../../../store/rows.ts';
import type { Store } from '../../../store/store.ts';
import type { Call, Reply, Route } from '../../protocol.ts';
import { instantOf } from '../../validation.ts';
import { LEVEL_NAMES, levelOf, logRecord } from '../records.ts';
import { findTask, invalidRequest } from '../refusals.ts';
import { json, PREFIX, route } from '../route.ts';
import { logRecordSchema } from '../schema/answers.ts';
import { LOG_START, type LogPage, type LogPlace, readTaskLog } from '../task-log.ts';
import { thinned, totalsOf, wireSample } from '../usage.ts';
import { anyObject, callerId } from '../vocabulary.ts';
import { wakes } from '../wakes.ts';

/** What watching needs. */
export interface ObserveDeps {
  readonly clock: Clock;
  readonly engine: Pick<EngineApi, 'task' | 'changes' | 'flushJournal'>;
  readonly store: Pick<Store, 'logs' | 'samples' | 'events' | 'read' | 'list'>;
}

const SAMPLES_MAX = 100_000;
const LINES_A_LOOK = 1_000;

const params = Type.Object({ task_id: callerId });
const time = Type.Optional(Type.String({ format: 'date-time' }));

const logQuery = Type.Object({
  level: Type.Optional(
    Type.Enum([...LEVEL_NAMES, 'DEBUG', 'INFO', 'WARN', 'ERROR', 'CRITICAL'], {
      description: 'The least severity.',
    }),
  ),
  since: time,
  until: time,
  attempt: Type.Optional(Type.Integer({ minimum: 0 })),
  q: Type.Optional(
    Type.String({ maxLength: 200, description: 'Text the message holds, whatever its case.' }),
  ),
  cursor: Type.Optional(Type.String({ pattern: '^[0-9]{1,15}(\\.[0-9]{1,15})?$' })),
  limit: Type.Integer({ minimum: 1, maximum: 1_000, default: 100 }),
  follow: Type.Boolean({
    default: false,
    description: 'Keep answering, one JSON object a line, until the task ends.',
  }),
});

const logPage = Type.Object(
  {
    task_id: Type.String(),
    execution_id: Type.String(),
    logs: Type.Array(logRecordSchema),
    next_cursor: Type.Unsafe({ type: ['string', 'null'] }),
  },
  { description: 'Log records, oldest first.' },
);

const metricsQuery = Type.Object({
  since: time,
  resolution: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 86_400, description: 'Seconds between samples.' }),
  ),
});

const metricsAnswer = Type.Object(
  {
    task_id: Type.String(),
    execution_id: Type.String(),
    totals: anyObject,
    attempts: Type.Array(Type.Object({ attempt: Type.Integer(), samples: Type.Array(anyObject) })),
  },
  { description: 'What the task used, in all and over time.' },
);

/** The routes that serve logs and metrics. */
export function observeRoutes(deps: ObserveDeps): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: `${PREFIX}/task-logs/:task_id`,
      summary: 'The log of a task',
      tag: 'tasks',
      access: 'task:read',
      rate: 'status',
      params,
      query: logQuery,
      answers: { 200: logPage },
      handle: call => answerLogs(call, deps),
    }),
    route({
      method: 'GET',
      path: `${PREFIX}/task-metrics/:task_id`,
      summary: 'What a task used',
      tag: 'tasks',
      access: 'task:read',
      rate: 'status',
      params,
      query: metricsQuery,
      answers: { 200: metricsAnswer },
      handle: call => answerMetrics(call, deps),
    }),
  ];
}

async function answerLogs(
  call: Call<unknown, Static<typeof logQuery>, Static<typeof params>>,
  deps: ObserveDeps,
): Promise<Reply> {
  const { query } = call;
  const task = await findTask(deps.engine, call.principal.tenant, call.params.task_id);
  const wanted = logQueryOf(task, query);
  if (query.follow) {
    const lines = followed(task, wanted, placeOf(query.cursor), call.signal, deps);
    const headers = { 'content-type': 'application/x-ndjson; charset=utf-8' };
    return { kind: 'stream', status: 200, body: Readable.from(lines), headers };
  }
  if (hasEnded(task.state)) await deps.engine.flushJournal();
  const { lines, next, more } = await readTaskLog(deps.store, task, wanted, placeOf(query.cursor));
  return json(200, {
    task_id: task.id,
    execution_id: task.executionId,
    logs: lines.map(line => logRecord(line, task)),
    next_cursor: more ? `${next.lineId}.${next.sequence}` : null,
  });
}

function logQueryOf({ key }: Task, query: Static<typeof logQuery>): LogQuery {
  const { since, until } = query;
  if (since !== undefined && until !== undefined && instantOf(until) < instantOf(since))
    throw invalidRequest([{ field: 'until', message: 'must not be before since' }]);
  return {
    key,
    ...(query.level === undefined ? {} : { levelMin: levelOf(query.level) }),
    ...(since === undefined ? {} : { since: instantOf(since) }),
    ...(until === undefined ? {} : { until: instantOf(until) }),
    ...(query.attempt === undefined ? {} : { attempt: query.attempt }),
    ...(query.q === undefined ? {} : { text: query.q }),
    limit: query.limit,
  };
}

function placeOf(cursor: string | undefined): LogPlace {
  const [lineId = 0, sequence = 0] = (cursor ?? '').split('.').map(Number);
  return cursor === undefined ? LOG_START : { lineId, sequence };
}

async function* followed(
  task: Task,
  wanted: LogQuery,
  start: LogPlace,
  signal: AbortSignal,
  deps: ObserveDeps,
): AsyncIterable<string> {
  let place = start;
  for await (const _ of wakes(deps.engine.changes(task.tenant, task.key, signal), deps.clock)) {
    // Whether the task has ended is asked before its lines are read, so that none written meanwhile is missed.
    const [now] = await deps.store.read([{ tenant: task.tenant, id: task.id }]);
    const isOver = now == null || hasEnded(now.state);
    if (isOver) await deps.engine.flushJournal();
    let page: LogPage;
    do {
      page = await readTaskLog(deps.store, task, { ...wanted, limit: LINES_A_LOOK }, place);
      for (const line of page.lines) yield `${JSON.stringify(logRecord(line, task))}\n`;
      place = page.next;
    } while (page.more);
    if (isOver) return;
  }
}

async function answerMetrics(
  call: Call<unknown, Static<typeof metricsQuery>, Static<typeof params>>,
  deps: ObserveDeps,
): Promise<Reply> {
  const { since, resolution } = call.query;
  const task = await findTask(deps.engine, call.principal.tenant, call.params.task_id);
  if (hasEnded(task.state)) await deps.engine.flushJournal();
  const all = await deps.store.samples({ key: task.key, limit: SAMPLES_MAX });
  const fresh = since === undefined ? all : all.filter(one => one.at > instantOf(since));
  const shown = resolution === undefined ? fresh : thinned(fresh, resolution * 1_000);
  const byAttempt = Map.groupBy<number, Sample>(shown, one => one.attempt);
  return json(200, {
    task_id: task.id,
    execution_id: task.executionId,
    totals: totalsOf(task, all, deps.clock.now()),
    attempts: [...byAttempt].map(([attempt, samples]) => ({ attempt, samples: samples.map(wireSample) })),
  });
}
