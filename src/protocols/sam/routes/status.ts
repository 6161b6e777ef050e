// Asking how tasks are: one by id, or many by filter (`SAM-55` to `SAM-60`).

import Type, { type Static } from 'typebox';
import { DomainError } from '../../../domain/errors.ts';
import type { TaskId, TenantId } from '../../../domain/ids.ts';
import { isCallerId } from '../../../domain/ids.ts';
import type { Task } from '../../../domain/task.ts';
import type { EngineApi } from '../../../engine/api.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { TaskQuery } from '../../../store/rows.ts';
import type { Store } from '../../../store/store.ts';
import type { Call, Reply, Route } from '../../protocol.ts';
import { instantOf } from '../../validation.ts';
import { isCurrent } from '../conditional.ts';
import { outputText } from '../output-ref.ts';
import { levelOf } from '../records.ts';
import { findTask, invalidRequest } from '../refusals.ts';
import { json, PREFIX, route } from '../route.ts';
import { nothing, statusPage, taskStatus } from '../schema/answers.ts';
import { type StatusDeps, type StatusWish, statusTag, viewOf, wireStatus } from '../status.ts';
import { callerId, OUTCOMES_OF, paging, SAM_STATES, STATES_BEFORE_END, samState } from '../vocabulary.ts';

/** What status answers are made from. */
export interface StatusRouteDeps extends StatusDeps {
  readonly clock: Clock;
  readonly engine: Pick<EngineApi, 'task' | 'forecast' | 'defaultResources' | 'limitModes'>;
  readonly store: Pick<Store, 'read' | 'list' | 'artifacts' | 'events' | 'logs' | 'samples'>;
  /** A task as its requester may see it; the very task where nothing of it is held back. */
  readonly seen: (task: Task) => Promise<Task>;
}

const IDS_MAX = 1_000;

const wishQuery = {
  include_logs: Type.Boolean({ default: false }),
  include_metrics: Type.Boolean({ default: true }),
  include_context: Type.Boolean({ default: false }),
  log_level: Type.Optional(
    Type.Enum(['debug', 'info', 'warn', 'error'], { description: 'The least severity.' }),
  ),
  since: Type.Optional(Type.String({ format: 'date-time', description: 'Only what is newer.' })),
};

const oneQuery = Type.Object(wishQuery);

const manyQuery = Type.Object({
  task_ids: Type.Optional(Type.String({ description: `Comma-separated, at most ${IDS_MAX}.` })),
  agent_id: Type.Optional(Type.String()),
  session_id: Type.Optional(Type.String()),
  user_id: Type.Optional(Type.String()),
  correlation_id: Type.Optional(Type.String()),
  task_type: Type.Optional(Type.String()),
  label: Type.Optional(
    Type.String({ pattern: '^[A-Za-z_][^=]{0,199}=', description: 'A label and its value: `name=value`.' }),
  ),
  status: Type.Optional(Type.Enum([...SAM_STATES])),
  include_metrics: wishQuery.include_metrics,
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 1_000, description: '50, or as many as task_ids names.' }),
  ),
  offset: paging.offset,
});

/** The routes that tell how tasks are. */
export function statusRoutes(deps: StatusRouteDeps): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: `${PREFIX}/task-status/:task_id`,
      summary: 'How a task is',
      tag: 'tasks',
      access: 'task:read',
      rate: 'status',
      params: Type.Object({ task_id: callerId }),
      query: oneQuery,
      answers: { 200: taskStatus, 304: nothing },
      handle: call => answerOne(call, deps),
    }),
    route({
      method: 'GET',
      path: `${PREFIX}/task-status`,
      summary: 'How many tasks are',
      tag: 'tasks',
      access: 'task:read',
      rate: 'status',
      query: manyQuery,
      answers: { 200: statusPage },
      handle: call => answerMany(call, deps),
    }),
    outputRoute(deps),
  ];
}

function outputRoute(deps: StatusRouteDeps): Route {
  return route({
    method: 'GET',
    path: `${PREFIX}/task-output/:task_id`,
    summary: 'The output of a task, byte for byte as output_ref names it',
    tag: 'tasks',
    access: 'task:read',
    rate: 'status',
    params: Type.Object({ task_id: callerId }),
    answers: { 200: Type.Unknown({ description: 'The output.' }), 304: nothing },
    async handle({ principal, params: { task_id: id }, headers }) {
      const task = await seenTask(deps, principal.tenant, id);
      const output = task.result?.output;
      if (output === undefined) throw new DomainError('not_found', 'the task has no output');
      const about = { etag: `W/"${task.executionId}"`, 'cache-control': 'private, no-cache' };
      if (isCurrent(about.etag, headers['if-none-match']))
        return { kind: 'empty', status: 304, headers: about };
      const contentType = 'application/json; charset=utf-8';
      return { kind: 'text', status: 200, body: outputText(output), contentType, headers: about };
    },
  });
}

/** The task as who asks may see it: one whose output waits for its validation, or for a person, still runs (`ARMY-77`, `ARMY-79`). */
async function seenTask({ engine, seen }: StatusRouteDeps, tenant: TenantId, id: string): Promise<Task> {
  return seen(await findTask(engine, tenant, id));
}

async function answerOne(
  call: Call<unknown, Static<typeof oneQuery>, { readonly task_id: string }>,
  deps: StatusRouteDeps,
): Promise<Reply> {
  const { query, params } = call;
  const wish: StatusWish = {
    logs: query.include_logs,
    metrics: query.include_metrics,
    context: query.include_context,
    ...(query.log_level === undefined ? {} : { levelMin: levelOf(query.log_level) }),
    ...(query.since === undefined ? {} : { since: instantOf(query.since) }),
  };
  const task = await seenTask(deps, call.principal.tenant, params.task_id);
  const view = await viewOf(task, wish, deps);
  const headers = { etag: statusTag(view, wish), 'cache-control': 'private, no-cache' };
  if (isCurrent(headers.etag, call.headers['if-none-match'])) return { kind: 'empty', status: 304, headers };
  return json(200, wireStatus(view, wish, { origin: call.origin, now: deps.clock.now(), deps }), headers);
}

async function answerMany(
  call: Call<unknown, Static<typeof manyQuery>, unknown>,
  deps: StatusRouteDeps,
): Promise<Reply> {
  const { query } = call;
  const { tenant } = call.principal;
  const ids = idsIn(query.task_ids);
  const limit = query.limit ?? (ids === undefined ? 50 : IDS_MAX);
  const { offset } = query;
  const wanted: TaskQuery = {
    tenant,
    ...(ids === undefined ? {} : { ids }),
    ...stateFilter(query.status),
    ...(query.task_type === undefined ? {} : { types: [query.task_type] }),
    ...(query.agent_id === undefined ? {} : { agentId: query.agent_id }),
    ...(query.session_id === undefined ? {} : { sessionId: query.session_id }),
    ...(query.user_id === undefined ? {} : { userId: query.user_id }),
    ...(query.correlation_id === undefined ? {} : { correlationId: query.correlation_id }),
    ...(query.label === undefined ? {} : { label: labelIn(query.label) }),
    limit,
    offset,
  };
  const [page, known] = await Promise.all([
    deps.store.list(wanted),
    ids === undefined ? [] : deps.store.read(ids.map(id => ({ tenant, id }))),
  ]);
  const wish: StatusWish = { logs: false, metrics: query.include_metrics, context: false };
  const tasks = await Promise.all(page.items.map(task => deps.seen(task)));
  // What is held back is listed as what it shows itself as.
  const listed = tasks.filter((task, at) => task === page.items[at] || isOfState(task, query.status));
  const views = await Promise.all(listed.map(task => viewOf(task, wish, deps)));
  const scene = { origin: call.origin, now: deps.clock.now(), deps };
  return json(200, {
    tasks: views.map(view => wireStatus(view, wish, scene)),
    not_found: (ids ?? []).filter((_id, index) => known[index] == null),
    total: page.total - (tasks.length - listed.length),
    limit,
    offset,
  });
}

function labelIn(text: string): NonNullable<TaskQuery['label']> {
  const at = text.indexOf('=');
  return { name: text.slice(0, at), value: text.slice(at + 1) };
}

function idsIn(list: string | undefined): readonly TaskId[] | undefined {
  if (list === undefined) return undefined;
  const ids = [...new Set(list.split(',').map(id => id.trim()))].filter(id => id !== '');
  if (ids.length > IDS_MAX)
    throw invalidRequest([{ field: 'task_ids', message: `must name at most ${IDS_MAX} tasks` }]);
  const bad = ids.find(id => !isCallerId(id));
  if (bad !== undefined) throw invalidRequest([{ field: 'task_ids', message: 'must hold task ids' }]);
  return ids as TaskId[];
}

function isOfState({ state, outcome }: Task, wanted: (typeof SAM_STATES)[number] | undefined): boolean {
  return wanted === undefined || samState(state, outcome) === wanted;
}

function stateFilter(state: (typeof SAM_STATES)[number] | undefined): Pick<TaskQuery, 'states' | 'outcomes'> {
  if (state === undefined) return {};
  if (state === 'queued' || state === 'running') return { states: STATES_BEFORE_END[state] };
  return { outcomes: OUTCOMES_OF[state] };
}
