// The tasks of a tenant and figures of them over HTTP: of all, or of those that one version of its clients asked for (`NOOB-27`).

import Type from 'typebox';
import type { JsonObject } from '../../domain/json.ts';
import { type Task, workTypeOf } from '../../domain/task.ts';
import type { Outcome } from '../../domain/transitions.ts';
import type { TaskQuery } from '../../store/rows.ts';
import type { Store } from '../../store/store.ts';
import type { Route } from '../protocol.ts';
import { json, route } from '../route.ts';
import { statusOf, timesOf } from './status.ts';
import { CLIENT_LABEL, clientLabel, requestOfTask } from './task-terms.ts';

const OUTCOMES: readonly Outcome[] = ['completed', 'failed', 'timeout', 'cancelled', 'rejected'];
/** Of so many tasks that ended last times are told. */
const TIMED_MAX = 500;
const anything = Type.Object({}, { additionalProperties: true });
const filter = {
  client_version: Type.Optional(
    Type.String({ minLength: 1, maxLength: 1_000, description: 'As in `metadata.client_version`.' }),
  ),
};

/** The routes of tasks. */
export function taskRoutes(store: Pick<Store, 'list'>): readonly Route[] {
  const common = { method: 'GET', tag: 'nooble', rate: 'status', access: 'task:read' } as const;
  return [
    route({
      ...common,
      path: '/protocols/nooble/tasks',
      summary: 'Tasks, newest first, of all clients or of one version of them',
      query: Type.Object({
        ...filter,
        limit: Type.Integer({ minimum: 1, maximum: 1_000, default: 50 }),
        offset: Type.Integer({ minimum: 0, maximum: 1_000_000, default: 0 }),
      }),
      answers: { 200: anything },
      async handle({ principal: { tenant }, query: { client_version: client, limit, offset } }) {
        const { items, total } = await store.list({ tenant, ...clientFilter(client), limit, offset });
        return json(200, { tasks: items.map(taskView), total, limit, offset });
      },
    }),
    route({
      ...common,
      path: '/protocols/nooble/metrics',
      summary:
        'How many tasks there are, how they ended and how long they took, of all clients or of one version',
      query: Type.Object(filter),
      answers: { 200: anything },
      async handle({ principal: { tenant }, query: { client_version: client } }) {
        const shown = client === undefined ? {} : { client_version: client };
        return json(200, { ...shown, ...(await figuresOf(store, { tenant, ...clientFilter(client) })) });
      },
    }),
  ];
}

function clientFilter(client: string | undefined): Pick<TaskQuery, 'label'> {
  return client === undefined ? {} : { label: { name: CLIENT_LABEL, value: clientLabel(client) } };
}

async function figuresOf(
  store: Pick<Store, 'list'>,
  which: Pick<TaskQuery, 'tenant' | 'label'>,
): Promise<JsonObject> {
  const [all, ended, ...counts] = await Promise.all([
    store.list({ ...which, limit: 1, offset: 0 }),
    store.list({ ...which, outcomes: OUTCOMES, limit: TIMED_MAX, offset: 0 }),
    ...OUTCOMES.map(outcome => store.list({ ...which, outcomes: [outcome], limit: 1, offset: 0 })),
  ]);
  const times = ended.items
    .flatMap(({ startedAt, endedAt }) =>
      startedAt === null || endedAt === null ? [] : [endedAt - startedAt],
    )
    .toSorted((one, other) => one - other);
  const at = (share: number): number | null => times[Math.floor(share * (times.length - 1))] ?? null;
  return {
    tasks: all.total,
    active: all.total - ended.total,
    outcomes: Object.fromEntries(OUTCOMES.map((outcome, index) => [outcome, counts[index]?.total ?? 0])),
    processing_time_ms: { p50: at(0.5), p99: at(0.99), of: times.length },
  };
}

function taskView(task: Task): JsonObject {
  const { type } = requestOfTask(task)?.envelope ?? {};
  const { labels, requester } = task.spec;
  const client = labels?.[CLIENT_LABEL];
  return {
    task_id: task.id,
    correlation_id: requester.correlationId ?? task.id,
    type: type === undefined ? workTypeOf(task.spec) : `${type.domain}.${type.action}`,
    status: statusOf(task),
    created_at: new Date(task.createdAt).toISOString(),
    ...timesOf(task),
    ...(client === undefined ? {} : { client_version: client }),
  };
}
