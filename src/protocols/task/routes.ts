// What the task wire serves beside what all dialects have: tasks as it knows them, with the figures and checkpoints its agents reported.

import Type from 'typebox';
import type { TaskEvent } from '../../domain/event.ts';
import type { TaskId, TenantId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Task } from '../../domain/task.ts';
import type { Route } from '../protocol.ts';
import { json, route } from '../route.ts';
import { statusFields, termsOf } from './news.ts';
import type { TaskParts } from './parts.ts';
import { instant } from './vocabulary.ts';

const PAGE = 100;
const SCANNED_MAX = 5_000;
const EVENTS = 1_000;
const anything = Type.Object({}, { additionalProperties: true });
const word = Type.Optional(Type.String({ maxLength: 400 }));
const common = { method: 'GET', tag: 'task', rate: 'standard', access: 'task:read' } as const;

/** The routes that list and show tasks. */
export function taskRoutes(parts: TaskParts): readonly Route[] {
  return [
    route({
      ...common,
      path: '/protocols/task/tasks',
      summary: 'Tasks, newest first, by the source or batch their metadata names',
      query: Type.Object({
        ...{ source: word, batch_id: word },
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE })),
        offset: Type.Optional(Type.Integer({ minimum: 0, maximum: 10_000_000 })),
      }),
      answers: { 200: anything },
      async handle({ principal, query: { source, batch_id: batch, limit = PAGE, offset = 0 } }) {
        const found = await matching({ tenant: principal.tenant, source, batch, limit, offset }, parts);
        return json(200, {
          tasks: found.tasks.map(task => statusFields(task, { metrics: {} })),
          next_offset: found.nextOffset,
        });
      },
    }),
    route({
      ...common,
      path: '/protocols/task/tasks/:task_id',
      summary: 'A task: how it stands, what its agents reported over time, its checkpoints and shared state',
      params: Type.Object({ task_id: Type.String({ pattern: '^[A-Za-z0-9._:-]{1,200}$' }) }),
      answers: { 200: anything },
      async handle({ principal: { tenant }, params: { task_id: id } }) {
        const taskId = id as TaskId;
        const task = await parts.engine.task(tenant, taskId);
        const [reported, shared, series] = await Promise.all([
          parts.reports.read({ tenant, taskId }),
          parts.states.read({ tenant, taskId }),
          seriesOf(task, parts),
        ]);
        return json(200, {
          ...statusFields(task, reported),
          attempt: task.attempt,
          created_at: instant(task.createdAt),
          series,
          checkpoints: reported.checkpoints,
          shared_state: { version: shared.version, state: shared.state },
        });
      },
    }),
  ];
}

interface Wanted {
  readonly tenant: TenantId;
  readonly source: string | undefined;
  readonly batch: string | undefined;
  readonly limit: number;
  readonly offset: number;
}

/** Looks at so many tasks at most; where it stopped is where the next page begins. */
async function matching(
  { tenant, source, batch, limit, offset }: Wanted,
  { store }: TaskParts,
): Promise<{ readonly tasks: readonly Task[]; readonly nextOffset: number | null }> {
  const tasks: Task[] = [];
  let at = offset;
  while (at < offset + SCANNED_MAX) {
    const filter = batch === undefined ? {} : { sessionId: batch };
    const { items } = await store.list({ tenant, ...filter, limit: PAGE, offset: at });
    for (const task of items) {
      at += 1;
      const { metadata } = termsOf(task);
      const said = isJsonObject(metadata) ? metadata : {};
      if (source !== undefined && said.source !== source) continue;
      if (batch !== undefined && said.batch_id !== batch) continue;
      tasks.push(task);
      if (tasks.length === limit) return { tasks, nextOffset: at };
    }
    if (items.length < PAGE) return { tasks, nextOffset: null };
  }
  return { tasks, nextOffset: at };
}

/** Every report's figures in order, by attempt (`TASK-24`). */
async function seriesOf({ key }: Task, { store }: TaskParts): Promise<readonly JsonObject[]> {
  const series: JsonObject[] = [];
  let afterSequence = 0;
  for (;;) {
    const events = await store.events({ of: 'task', key, afterSequence, limit: EVENTS });
    series.push(...events.flatMap(pointOf));
    afterSequence = events.at(-1)?.sequence ?? afterSequence;
    if (events.length < EVENTS) return series;
  }
}

function pointOf(event: TaskEvent): readonly JsonObject[] {
  if (event.kind !== 'progress') return [];
  const { intermediate, attempt, at, progress } = event;
  if (!isJsonObject(intermediate) || !isJsonObject(intermediate.metrics)) return [];
  return [
    { attempt, timestamp: instant(at), progress: progress.percentage / 100, metrics: intermediate.metrics },
  ];
}
