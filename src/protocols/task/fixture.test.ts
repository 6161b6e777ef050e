// What the tests of the task wire share: messages as agents write them, and two agents each of whom has commanded the other, for only a
// command lets one agent write to another.

import assert from 'node:assert/strict';
import type { Bench } from '../../../test/dialects/setup.ts';
import type { Answered, Correspondent, Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { DEFAULT_TENANT, type TaskId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';

/** A lease no test outlives. */
export const SETTINGS = { BATUTA_LEASE_MS: '300000' };

/** A message of that type with its own id, written now. */
export function written(type: string, id: string, fields: JsonObject = {}): JsonObject {
  return { type, message_id: id, timestamp: new Date().toISOString(), protocol_version: '1.0.0', ...fields };
}

/** Sends one message and answers the reply to it, or the refusal. */
export async function exchange(who: Correspondent, message: JsonObject): Promise<Loose> {
  const { status, body } = await who.send('task', message, '?wait=10');
  if (status >= 300) return body;
  assert.ok(body.reply !== undefined, `no reply to ${JSON.stringify(message)}: ${JSON.stringify(body)}`);
  return body.reply;
}

/** Sends one message that must be refused, and answers how. */
export async function refused(who: Correspondent, message: unknown): Promise<Answered> {
  const answer = await who.send('task', message);
  assert.ok(answer.status >= 400, `was taken: ${JSON.stringify(message)}`);
  return answer;
}

/** What came into an inbox and was taken out of it, in order. */
export interface Reader {
  readonly who: Correspondent;
  readonly inbox: string;
  readonly seen: Loose[];
}

/** A reader that has read nothing yet. */
export function readerOf(who: Correspondent, inbox: string): Reader {
  return { who, inbox, seen: [] };
}

/** The first message that fits, of those taken out before or of those that come. */
export async function until(
  { who, inbox, seen }: Reader,
  fits: (message: Loose) => boolean,
  withinMs = 15_000,
): Promise<Loose> {
  const end = Date.now() + withinMs;
  for (;;) {
    const found = seen.find(fits);
    if (found !== undefined) return found;
    assert.ok(Date.now() < end, `no such message came: ${JSON.stringify(seen).slice(0, 3_000)}`);
    for (const { message, delivery_id } of await who.read('task', inbox, { wait: 2, max: 20 })) {
      seen.push(message);
      await who.settle('task', inbox, delivery_id);
    }
  }
}

/** Has a task made and taken by its agent; answers the request the agent found. */
export async function heldTask(
  parts: { readonly submitter: Correspondent; readonly holder: Reader },
  taskId: string,
  type: string,
  fields: JsonObject = {},
): Promise<Loose> {
  const { submitter, holder } = parts;
  const submitted = written('task.submit', `submit-${taskId}`, {
    task_id: taskId,
    task_type: type,
    ...fields,
  });
  const reply = await exchange(submitter, submitted);
  assert.equal(reply.type, 'task.control.ack', JSON.stringify(reply));
  return until(holder, ({ type: found, task_id }) => found === 'task.submit' && task_id === taskId);
}

/** Two agents at work for each other, with nothing left in their inboxes. */
export async function openBench(post: Post, tag: string): Promise<Bench> {
  const [ann, bob] = [`${tag}-ann`, `${tag}-bob`];
  const sender = await post.register(ann, { types: [`custom:${tag}-for-ann`] });
  const receiver = await post.register(bob, { types: [`custom:${tag}-for-bob`] });
  const [anns, bobs] = [readerOf(sender, ann), readerOf(receiver, bob)];
  await heldTask({ submitter: receiver, holder: anns }, `${tag}-a`, `${tag}-for-ann`);
  await heldTask({ submitter: sender, holder: bobs }, `${tag}-b`, `${tag}-for-bob`);
  for (const reader of [anns, bobs])
    for (const task of [`${tag}-a`, `${tag}-b`])
      await until(reader, ({ state, task_id }) => state === 'running' && task_id === task);
  await commanded(bobs, anns, `${tag}-a`);
  await commanded(anns, bobs, `${tag}-b`);
  for (const reader of [anns, bobs])
    await until(reader, ({ message_id }) => String(message_id).startsWith('will-'));
  return benchOf({ post, tag, ann, bob, sender, receiver });
}

/** A pause of the other's task, which it says it will obey. */
async function commanded(commander: Reader, holder: Reader, taskId: string): Promise<void> {
  const id = `pause-${taskId}`;
  const pause = written('task.control.pause', id, { task_id: taskId, reason: 'test' });
  const reply = await exchange(commander.who, pause);
  assert.equal(reply.status, 'accepted', JSON.stringify(reply));
  await until(holder, ({ type, task_id }) => type === 'task.control.pause' && task_id === taskId);
  const ack = written('task.control.ack', `will-${id}`, { command_id: id, status: 'accepted' });
  assert.equal((await holder.who.send('task', ack)).status, 202);
}

function benchOf(parts: {
  readonly post: Post;
  readonly tag: string;
  readonly ann: string;
  readonly bob: string;
  readonly sender: Correspondent;
  readonly receiver: Correspondent;
}): Bench {
  const { post, tag, ann, bob, sender, receiver } = parts;
  // The same message written twice is the same message.
  const timestamp = new Date().toISOString();
  const note = (id: string, task: string, fields: JsonObject = {}): JsonObject =>
    written('task.control.ack', id, {
      timestamp,
      command_id: `pause-${tag}-${task}`,
      status: 'accepted',
      ...fields,
    });
  return {
    ...{ post, name: 'task', sender, receiver, senderInbox: ann, receiverInbox: bob },
    message: (id, { urgent, expiresInMs, exchange: correlation, text, answers } = {}) =>
      note(id, 'a', {
        from: ann,
        metadata: { text: text ?? 'hello' },
        ...(urgent === true ? { priority: 1 } : {}),
        ...(expiresInMs === undefined
          ? {}
          : { expires_at: new Date(Date.now() + expiresInMs).toISOString() }),
        ...(correlation === undefined ? {} : { correlation_id: correlation }),
        ...(answers === undefined ? {} : { reply_to: answers }),
      }),
    answer: (id, to) => note(id, 'b', { from: bob, reply_to: String(to.message_id) }),
    broken: () => ({ type: 'task.submit', message_id: 'broken', task_type: 'x' }),
    idOf: message => message.message_id ?? '',
    codeOf: body =>
      body.code ?? (body.type === 'resource.denied' ? body.type : String(body.reason).split(':')[0]),
    words: {
      ...{ invalid_request: 'MSG001', unserializable: 'MSG002', unauthenticated: 'COM-AUTH' },
      ...{ forbidden: 'forbidden', conflict: 'conflict', lease_lost: 'lease_lost' },
      ...{ payload_too_large: 'MSG001', rate_limited: 'rate_limited', not_found: 'not_found' },
    },
    isError: message => message.type === 'protocol.error' || message.type === 'task.control.reject',
    sealing: {
      ...{ senderAgent: ann, receiverAgent: bob, type: 'task.control.ack', confidential: 'metadata' },
      ...{ signatureAt: ['signature'], timestampAt: ['timestamp'] },
      request: (id, words) =>
        written('task.submit', id, {
          ...{ from: ann, task_id: `task-${id}`, task_type: `${tag}-for-bob`, metadata: { words } },
        }),
      async seen({ task_id: taskId }) {
        const { spec } = await post.server.engine.task(DEFAULT_TENANT, taskId as TaskId);
        return JSON.stringify(spec.origin?.terms);
      },
      critical: id => note(id, 'a', { from: ann, priority: 0 }),
    },
  };
}

/** A submitter and an agent of their own, and a kind of work only that agent does. */
export async function crew(post: Post, name: string, capacity: object = {}) {
  const [ann, bob, type] = [`ann-${name}`, `bob-${name}`, `work-${name}`];
  let reports = 0;
  const submitter = await post.register(ann);
  const body = { agent_id: bob, types: [`custom:${type}`], capacity: { slots: 10, ...capacity } };
  assert.equal((await post.admin.ask('POST', '/api/v2/agents', body)).status, 200);
  const holder = await post.agent(bob);
  const task = (id: string): string => `${type}-${id}`;
  const submit = (id: string, fields: JsonObject = {}): JsonObject =>
    written('task.submit', `s-${task(id)}`, { task_id: task(id), task_type: type, ...fields });
  const report = (id: string, fields: JsonObject): JsonObject =>
    written('task.status', `r-${++reports}-${task(id)}`, { task_id: task(id), ...fields });
  const reader: Reader = readerOf(holder, bob);
  return {
    ...{ ann, bob, type, submitter, holder, reader, anns: readerOf(submitter, ann), task, submit, report },
    held: (id: string, fields?: JsonObject) =>
      heldTask({ submitter, holder: reader }, task(id), type, fields),
    found: (id: string) => post.server.engine.task(DEFAULT_TENANT, task(id) as TaskId),
  };
}
