// Nooble messages as tests write them, and somebody who sends them and waits for what comes of it.

import assert from 'node:assert/strict';
import type { Answered, Correspondent, Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import type { JsonObject } from '../../domain/json.ts';
import { uuidOf } from './replies.ts';

let made = 0;

/** A new id, as a client makes them. */
export function newId(): string {
  made += 1;
  return uuidOf(`test ${made} ${process.pid} ${Date.now()}`);
}

/** A message of a pair with what is said otherwise. */
export function message(pair: string, payload: JsonObject, more: Loose = {}): Loose {
  const [domain, action] = pair.split('.');
  const target = TARGETS[domain ?? ''] ?? 'agent_orchestrator';
  return {
    message_id: newId(),
    task_id: newId(),
    tenant_id: 'default',
    correlation_id: newId(),
    created_at: new Date().toISOString(),
    schema_version: '1.1',
    status: 'pending',
    type: { domain, action },
    priority: 3,
    source_service: 'agent_orchestrator',
    target_service: target,
    payload,
    ...more,
  };
}

const TARGETS: Readonly<Record<string, string>> = {
  agent: 'agent_execution',
  workflow: 'workflow_engine',
  conversation: 'conversation',
  knowledge: 'knowledge_base',
  auth: 'authentication',
  tool: 'tool_registry',
};

/** Sends a message and waits for its answer. */
export async function asked(who: Correspondent, one: Loose, seconds = 10): Promise<Loose> {
  const sent = await who.send('nooble', one, `?wait=${seconds}`);
  assert.equal(sent.status, 202, JSON.stringify(sent.body));
  assert.ok(sent.body.reply !== undefined, `no reply came: ${JSON.stringify(sent.body)}`);
  return sent.body.reply;
}

/** Sends a message that is refused at once; answers the status and body. */
export async function refused(who: Correspondent, one: Loose): Promise<Answered> {
  const sent = await who.send('nooble', one);
  assert.ok(sent.status >= 400, `it was taken: ${JSON.stringify(sent.body)}`);
  return sent;
}

/** What comes into an inbox, acknowledged, until one of it satisfies. */
export async function until(
  who: Correspondent,
  inbox: string,
  isIt: (message: Loose) => boolean,
): Promise<readonly Loose[]> {
  const seen: Loose[] = [];
  const end = Date.now() + 20_000;
  while (Date.now() < end && !seen.some(isIt)) {
    for (const { message: one, delivery_id: delivery } of await who.read('nooble', inbox, { wait: 2 })) {
      seen.push(one);
      await who.settle('nooble', inbox, delivery);
    }
  }
  const at = seen.findIndex(isIt);
  if (at >= 0) return seen.slice(0, at + 1);
  throw new Error(`it did not come; ${JSON.stringify(seen).slice(0, 2_000)}`);
}

/** The status of a task as SAM tells it. */
export async function taskOf(post: Post, id: string): Promise<Loose> {
  return (await post.admin.ask('GET', `/api/v2/task-status/${id}`)).body;
}

/** An orchestrator of a server: an agent under the name of that service. */
export function orchestrator(post: Post): Promise<Correspondent> {
  return post.agent('agent_orchestrator');
}
