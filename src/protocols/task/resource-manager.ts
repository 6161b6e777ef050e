// The resource manager: reserves what tasks ask for out of what the agents of their tenant have in all, every kind or none, and frees it when
// the task ends or loses the lease it was reserved under. A tenant's reservations are one document, so that none is given twice.

import { DomainError } from '../../domain/errors.ts';
import type { TaskId, TenantId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Draft, Message } from '../../domain/message.ts';
import type { Task } from '../../domain/task.ts';
import type { Participant } from '../../engine/ports/participant.ts';
import { changeDocument, createDocument, everyDocument, oneDocument } from '../../guards/documents.ts';
import type { TaskParts } from './parts.ts';
import { requireParty } from './permissions.ts';
import { RESOURCE_KINDS } from './schemas.ts';
import { answer, idFor } from './utterance.ts';
import { RESOURCE_DESK, RESOURCE_MANAGER } from './vocabulary.ts';

/** What resources are counted by. */
export type ResourceKind = (typeof RESOURCE_KINDS)[number];

/** One kind of resource reserved for a task. */
export interface Reservation {
  readonly id: string;
  readonly taskId: TaskId;
  readonly kind: ResourceKind;
  readonly amount: number;
  /** Of the lease it was asked for under; null where the task was held by nobody. */
  readonly token: number | null;
}

/** The resource manager, and what else it does now and then. */
export interface ResourceManager {
  readonly participant: Participant;
  /** Frees what is reserved for tasks that ended or lost their lease, of all tenants. */
  tidy(): Promise<void>;
}

const KIND = 'task_reservations';
const HELD_MAX = 10_000;
const MB_IN_GB = 1_024;

/** Makes it. */
export function createResourceManager(parts: TaskParts): ResourceManager {
  return {
    participant: {
      name: 'task resource manager',
      inboxes: [RESOURCE_DESK],
      handle: message => handle(message, parts),
    },
    async tidy() {
      for (const { tenant, body } of await everyDocument(parts.store, { kind: KIND }))
        if (reservationsIn(body).length > 0) await prune(tenant, parts);
    },
  };
}

async function handle(message: Message, parts: TaskParts): Promise<readonly Draft[]> {
  const { meaning, tenant, type, taskId } = message;
  const fields: JsonObject = meaning.act === 'say' && isJsonObject(meaning.body) ? meaning.body : {};
  const task = await taskOf(tenant, taskId as TaskId, type === 'resource.allocate', parts);
  requireParty(task, message);
  const now = parts.clock.now();
  if (type === 'resource.release') {
    const ids = Array.isArray(fields.resource_ids) ? fields.resource_ids.map(String) : [];
    await release(task, ids, message.id, parts);
    const told = { type: 'task.control.ack', command_id: message.id, status: 'applied', task_id: task.id };
    return [answer(message, now, { ...told, from: RESOURCE_MANAGER })];
  }
  const reserved = await allocate(task, { cause: message.id, requirements: fields.requirements }, parts);
  const resources = reserved.map(({ id, kind, amount }) => ({ resource_id: id, kind, amount }));
  return [
    answer(message, now, { type: 'resource.allocated', from: RESOURCE_MANAGER, task_id: task.id, resources }),
  ];
}

/** What of the reservations holds still, after what does not was let go. */
async function prune(tenant: TenantId, { store }: TaskParts): Promise<readonly Reservation[]> {
  const found = await oneDocument(store, { tenant, kind: KIND, id: KIND });
  const held = reservationsIn(found?.body);
  const ids = [...new Set(held.map(({ taskId }) => taskId))];
  const tasks = new Map(
    (await store.read(ids.map(id => ({ tenant, id })))).flatMap(task =>
      task === null ? [] : [[task.id, task]],
    ),
  );
  const over = new Set(held.filter(one => isOver(one, tasks.get(one.taskId))).map(({ id }) => id));
  if (over.size === 0) return held;
  return change(tenant, all => all.filter(({ id }) => !over.has(id)), store);
}

async function allocate(
  task: Task,
  { cause, requirements }: { readonly cause: string; readonly requirements: Json | undefined },
  parts: TaskParts,
): Promise<readonly Reservation[]> {
  const { tenant, id: taskId } = task;
  await prune(tenant, parts);
  const sizes = await poolOf(tenant, parts);
  const memoryMax = parts.quotaOf(tenant).memory_mb;
  const wanted = reservationsFor(task, cause, requirements);
  await change(
    tenant,
    all => {
      if (all.some(({ id }) => wanted.some(one => one.id === id))) return all;
      for (const { kind, amount } of wanted) {
        const reserved = sum(all, kind) + amount;
        if (kind === 'memory_gb' && reserved * MB_IN_GB > (memoryMax ?? Number.POSITIVE_INFINITY))
          throw denied('quota_exceeded', taskId, `the tenant may reserve ${memoryMax} MB of memory in all`);
        if (reserved > sizes[kind])
          throw denied('insufficient_capacity', taskId, `of ${kind} there are ${sizes[kind]} in all`);
      }
      if (all.length + wanted.length > HELD_MAX)
        throw denied('insufficient_capacity', taskId, `a tenant holds at most ${HELD_MAX} reservations`);
      return [...all, ...wanted];
    },
    parts.store,
  );
  return wanted;
}

/** Frees exactly these; throws `not_found` and frees none where the task does not hold one of them. A repeat finds them freed by itself. */
async function release(
  task: Task,
  ids: readonly string[],
  cause: string,
  { store }: TaskParts,
): Promise<void> {
  const marker = idFor('released', cause);
  const ref = { tenant: task.tenant, kind: KIND, id: KIND };
  await createDocument(store, ref, { reservations: [], released: [] });
  await changeDocument(store, ref, body => {
    const released = (body.released ?? []) as readonly string[];
    if (released.includes(marker)) return body;
    const held = reservationsIn(body);
    const foreign = ids.filter(id => !held.some(one => one.id === id && one.taskId === task.id));
    if (foreign.length > 0)
      throw new DomainError('not_found', `task ${task.id} does not hold ${foreign.slice(0, 5).join(', ')}`, {
        details: { task_id: task.id, resource_ids: foreign },
      });
    const left = held.filter(({ id }) => !ids.includes(id)) as unknown as JsonObject[];
    return { ...body, reservations: left, released: [...released.slice(-999), marker] };
  });
}

async function change(
  tenant: TenantId,
  apply: (all: readonly Reservation[]) => readonly Reservation[],
  store: TaskParts['store'],
): Promise<readonly Reservation[]> {
  const ref = { tenant, kind: KIND, id: KIND };
  await createDocument(store, ref, { reservations: [], released: [] });
  const body = await changeDocument(store, ref, known => ({
    ...known,
    reservations: apply(reservationsIn(known)) as unknown as JsonObject[],
  }));
  return reservationsIn(body);
}

/** What the tenant's agents have in all, of what they say they have. */
async function poolOf(
  tenant: TenantId,
  { engine }: TaskParts,
): Promise<Readonly<Record<ResourceKind, number>>> {
  const agents = (await engine.agents(tenant)).filter(({ agent }) => agent.kind !== 'local');
  const total = (
    of: (capacity: (typeof agents)[number]['agent']['capacity']) => number | undefined,
  ): number => agents.reduce((all, { agent }) => all + (of(agent.capacity) ?? 0), 0);
  return {
    cpu_cores: total(({ cpuCores }) => cpuCores),
    memory_gb: total(({ memoryMb }) => memoryMb) / MB_IN_GB,
    storage_gb: total(({ diskMb }) => diskMb) / MB_IN_GB,
    gpu_units: total(({ gpuUnits }) => gpuUnits),
  };
}

async function taskOf(tenant: TenantId, id: TaskId, toReserve: boolean, { store }: TaskParts): Promise<Task> {
  const [task] = await store.read([{ tenant, id }]);
  if (task === null || task === undefined)
    throw new DomainError('not_found', `there is no task ${id}`, {
      details: { task_id: id, ...(toReserve ? { denial: 'unknown_task' } : {}) },
    });
  if (!toReserve || task.outcome === null) return task;
  throw new DomainError('invalid_transition', `task ${id} has ended: ${task.outcome}`, {
    details: { task_id: id, denial: 'task_ended' },
  });
}

function reservationsFor(task: Task, cause: string, requirements: Json | undefined): readonly Reservation[] {
  if (!isJsonObject(requirements)) return [];
  return RESOURCE_KINDS.flatMap((kind): readonly Reservation[] => {
    const amount = requirements[kind];
    if (typeof amount !== 'number' || amount <= 0) return [];
    const id = idFor(kind, cause);
    return [{ id, taskId: task.id, kind, amount, token: task.lease?.token ?? null }];
  });
}

function isOver({ token }: Reservation, task: Task | undefined): boolean {
  if (task === undefined || task.outcome !== null) return true;
  return token !== null && task.lease?.token !== token;
}

function reservationsIn(body: JsonObject | undefined): readonly Reservation[] {
  return (body?.reservations ?? []) as unknown as readonly Reservation[];
}

function sum(all: readonly Reservation[], kind: ResourceKind): number {
  return all.reduce((amount, one) => amount + (one.kind === kind ? one.amount : 0), 0);
}

function denied(denial: string, taskId: TaskId, why: string): DomainError {
  return new DomainError('resource_exhausted', why, { details: { denial, task_id: taskId } });
}
