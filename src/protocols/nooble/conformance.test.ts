// Nooble passes what every message wire must do.

import { testDialect } from '../../../test/dialects/conformance.ts';
import type { Bench } from '../../../test/dialects/setup.ts';
import { openPost, type Post } from '../../../test/post.ts';
import { DEFAULT_TENANT, type TaskId } from '../../domain/ids.ts';
import { uuidOf } from './replies.ts';

testDialect('nooble', () => openPost(), openBench);

async function openBench(post: Post, tag: string): Promise<Bench> {
  const [ann, bob] = [`${tag}-ann`, `${tag}-bob`];
  const [sender, receiver] = [await post.register(ann), await post.register(bob)];
  const said = (id: string, from: string, to: string) => ({
    message_id: id,
    task_id: `task-${id}`,
    tenant_id: 'default',
    correlation_id: id,
    created_at: new Date().toISOString(),
    schema_version: '1.1',
    status: 'completed',
    type: { domain: 'agent', action: 'notify' },
    priority: 5,
    source_service: from.replaceAll('-', '_'),
    target_service: to.replaceAll('-', '_'),
    metadata: { client_version: '1.0' },
    payload: { text: 'hello' },
  });
  // The same id must be the same message, so the instant it was made may not move between two calls.
  const madeAt = new Date().toISOString();
  return {
    ...{ post, name: 'nooble', sender, receiver, senderInbox: ann, receiverInbox: bob },
    message: (id, { urgent, expiresInMs, exchange, text, answers } = {}) => ({
      ...said(id, ann, bob),
      created_at: madeAt,
      ...(urgent === true ? { priority: 1 } : {}),
      ...(expiresInMs === undefined ? {} : { expires_at: new Date(Date.now() + expiresInMs).toISOString() }),
      ...(exchange === undefined ? {} : { correlation_id: exchange }),
      ...(text === undefined ? {} : { payload: { text } }),
      ...(answers === undefined ? {} : { metadata: { reply_to: answers } }),
    }),
    answer: (id, to) => ({
      ...said(id, bob, ann),
      task_id: to.task_id ?? uuidOf(id),
      correlation_id: to.correlation_id ?? id,
      metadata: { reply_to: to.message_id ?? null },
    }),
    broken: () => ({ ...said('broken', ann, bob), type: { domain: 'agent', action: 'sing' } }),
    idOf: message => message.message_id,
    codeOf: body => body.code ?? body.error?.code,
    words: WORDS,
    isError: message => message.type?.action === 'error',
    sealing: {
      ...{ senderAgent: ann, receiverAgent: bob, type: 'agent.notify', confidential: 'payload' },
      ...{ signatureAt: ['metadata', 'signature'], timestampAt: ['created_at'] },
      request: (id, words) => ({
        ...said(id, ann, 'agent_execution'),
        ...{ status: 'pending', type: { domain: 'tool', action: 'query' }, target_service: 'tool_registry' },
        payload: { query: words },
      }),
      async seen({ message_id: id }) {
        return JSON.stringify(await post.server.engine.task(DEFAULT_TENANT, `task-${id}` as TaskId));
      },
      critical: id => ({ ...said(id, ann, bob), priority: 0 }),
    },
  };
}

const WORDS: Bench['words'] = {
  ...{ invalid_request: 'VAL_001', unserializable: 'VAL_003', unauthenticated: 'AUTH_001' },
  ...{
    forbidden: 'AUTH_003',
    conflict: 'VAL_005',
    lease_lost: 'WF_005',
    not_found: 'resource_not_found',
  },
  ...{ payload_too_large: 'VAL_004', rate_limited: 'GEN_003' },
};
