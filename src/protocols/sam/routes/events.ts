// The stream of events: what happened to a task, or to any of the tenant's, as server-sent events that resume by `Last-Event-ID`
// without gap or repeat (`SAM-65`).

import Type from 'typebox';
import { notificationOf, type TaskEvent } from '../../../domain/event.ts';
import type { TenantId } from '../../../domain/ids.ts';
import type { Task } from '../../../domain/task.ts';
import { hasEnded } from '../../../domain/transitions.ts';
import type { Call, Route, SseItem } from '../../protocol.ts';
import { logRecord, wireEvent } from '../records.ts';
import { findTask, invalidRequest } from '../refusals.ts';
import { PREFIX, route } from '../route.ts';
import { callerId, samState } from '../vocabulary.ts';
import { wakes } from '../wakes.ts';
import type { ObserveDeps } from './observe.ts';

const PAGE = 500;
const END = 'end';

const stream = Type.String({ contentMediaType: 'text/event-stream', description: 'Server-sent events.' });
const ended = Type.Null({ description: 'The stream was read to its end; there is no reason to come back.' });

/** The routes that stream events. */
export function eventRoutes(deps: ObserveDeps): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: `${PREFIX}/task-events/:task_id`,
      summary: 'What happens to a task, as it happens',
      tag: 'events',
      access: 'task:read',
      rate: 'free',
      params: Type.Object({ task_id: callerId }),
      answers: { 200: stream, 204: ended },
      async handle(call) {
        const task = await findTask(deps.engine, call.principal.tenant, call.params.task_id);
        const from = taskPosition(lastEventId(call));
        // An EventSource comes back whenever a stream closes; 204 is how it is told not to.
        if (from === END) return { kind: 'empty', status: 204 };
        return { kind: 'sse', items: taskStream(task, from, call.signal, deps) };
      },
    }),
    route({
      method: 'GET',
      path: `${PREFIX}/task-events`,
      summary: 'What happens to all tasks, as it happens',
      tag: 'events',
      access: 'task:read',
      rate: 'free',
      query: Type.Object({
        from: Type.Optional(
          Type.Enum(['start', 'latest'], { description: 'Where to begin; with the latest when absent.' }),
        ),
      }),
      answers: { 200: stream },
      async handle(call) {
        const { tenant } = call.principal;
        const resumed = tenantPosition(lastEventId(call));
        const fromStart = call.query.from === 'start';
        const cursor = resumed?.cursor ?? (fromStart ? null : await recentCursor(tenant, deps));
        const from = { cursor, partsSeen: resumed?.partsSeen ?? 0 };
        return { kind: 'sse', items: tenantStream(tenant, from, call.signal, deps) };
      },
    }),
  ];
}

function lastEventId({ headers }: Pick<Call, 'headers'>): string | undefined {
  return headers['last-event-id'];
}

/** How far a reader of one task has come: whole events, parts of the next, and log lines. */
interface TaskPosition {
  readonly sequence: number;
  readonly partsSeen: number;
  readonly logId: number;
}

function taskPosition(id: string | undefined): TaskPosition | typeof END {
  if (id === undefined || id === '') return { sequence: 0, partsSeen: 0, logId: 0 };
  if (id === END) return END;
  const [, sequence, parts, logId] = /^(\d{1,15})\.(\d)\.(\d{1,15})$/.exec(id) ?? [];
  if (sequence === undefined) throw badEventId();
  return { sequence: Number(sequence), partsSeen: Number(parts), logId: Number(logId) };
}

function tenantPosition(
  id: string | undefined,
): { readonly cursor: string | null; readonly partsSeen: number } | undefined {
  if (id === undefined || id === '') return undefined;
  const [, parts, cursor] = /^(\d)\.(.{0,100})$/.exec(id) ?? [];
  if (cursor === undefined) throw badEventId();
  return { cursor: cursor === '' ? null : cursor, partsSeen: Number(parts) };
}

function badEventId(): Error {
  return invalidRequest([{ field: 'Last-Event-ID', message: 'must be an id this stream gave' }]);
}

async function* taskStream(
  task: Task,
  from: TaskPosition,
  signal: AbortSignal,
  { store, engine, clock }: ObserveDeps,
): AsyncIterable<SseItem> {
  let { sequence, partsSeen, logId } = from;
  const idOf = (): string => `${sequence}.${partsSeen}.${logId}`;
  for await (const _ of wakes(engine.changes(task.tenant, task.key, signal), clock)) {
    const [now] = await store.read([{ tenant: task.tenant, id: task.id }]);
    const isOver = now == null || hasEnded(now.state);
    if (isOver) await engine.flushJournal();
    let full: boolean;
    do {
      const events = await store.events({ of: 'task', key: task.key, afterSequence: sequence, limit: PAGE });
      for (const event of events) {
        const names = namesOf(event);
        for (const name of names.slice(partsSeen)) {
          partsSeen += 1;
          if (partsSeen === names.length) [sequence, partsSeen] = [event.sequence, 0];
          yield { id: idOf(), event: name, data: dataOf(event, name) };
        }
      }
      const lines = await store.logs({ key: task.key, afterId: logId, limit: PAGE });
      for (const line of lines) {
        logId = line.id;
        yield { id: idOf(), event: 'log', data: JSON.stringify(logRecord(line, task)) };
      }
      full = events.length === PAGE || lines.length === PAGE;
    } while (full);
    if (isOver) {
      yield { id: END, event: END, data: JSON.stringify(endOf(now ?? task)) };
      return;
    }
  }
}

async function* tenantStream(
  tenant: TenantId,
  from: { readonly cursor: string | null; readonly partsSeen: number },
  signal: AbortSignal,
  { store, engine, clock }: ObserveDeps,
): AsyncIterable<SseItem> {
  let { cursor, partsSeen } = from;
  for await (const _ of wakes(engine.changes(tenant, null, signal), clock)) {
    let events: readonly TaskEvent[];
    do {
      events = await store.events({ of: 'tenant', tenant, afterCursor: cursor, limit: PAGE });
      for (const event of events) {
        const names = namesOf(event);
        for (const name of names.slice(partsSeen)) {
          partsSeen += 1;
          if (partsSeen === names.length) [cursor, partsSeen] = [event.cursor, 0];
          yield { id: `${partsSeen}.${cursor ?? ''}`, event: name, data: dataOf(event, name) };
        }
      }
    } while (events.length === PAGE);
  }
}

/** A place shortly before now, found without reading what came before: the last event of the newest task. */
async function recentCursor(tenant: TenantId, { store }: ObserveDeps): Promise<string | null> {
  const [newest] = (await store.list({ tenant, limit: 1, offset: 0 })).items;
  if (newest === undefined) return null;
  const { key, version } = newest;
  const [last] = await store.events({ of: 'task', key, afterSequence: version - 1, limit: 1 });
  return last?.cursor ?? null;
}

/** The names an event goes by, in the order they are sent: every change of state, and the notification it corresponds to. */
function namesOf(event: TaskEvent): readonly string[] {
  const notification = notificationOf(event);
  if (event.kind === 'state')
    return notification === null ? ['state_changed'] : ['state_changed', notification];
  return [notification ?? event.kind];
}

function dataOf(event: TaskEvent, name: string): string {
  return JSON.stringify({ ...wireEvent(event), event_type: name });
}

function endOf(task: Task): object {
  return {
    event_type: END,
    task_id: task.id,
    execution_id: task.executionId,
    state: samState(task.state, task.outcome),
    lifecycle_state: task.state,
    outcome: task.outcome,
  };
}
