// The blog wire does what all message wires must.

import { testDialect } from '../../../test/dialects/conformance.ts';
import type { Bench } from '../../../test/dialects/setup.ts';
import { openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { DEFAULT_TENANT } from '../../domain/ids.ts';

const WORDS = {
  ...{ invalid_request: 'VALIDATION_ERROR', unserializable: 'VALIDATION_ERROR' },
  ...{
    unauthenticated: 'PRECONDITION_FAILED',
    forbidden: 'PRECONDITION_FAILED',
    conflict: 'INVARIANT_VIOLATION',
  },
  ...{ lease_lost: 'INVARIANT_VIOLATION', not_found: 'VALIDATION_ERROR' },
  ...{ payload_too_large: 'VALIDATION_ERROR', rate_limited: 'RATE_LIMIT_EXCEEDED' },
};

async function openBench(post: Post, tag: string): Promise<Bench> {
  const [ann, bob] = [`${tag}-ann`, `${tag}-bob`];
  const [sender, receiver] = [await post.register(ann), await post.register(bob)];
  const metadata = { timestamp: '2026-02-24T10:00:00.000Z', priority: 'medium' };
  return {
    ...{ post, name: 'blog', sender, receiver, senderInbox: ann, receiverInbox: bob, words: WORDS },
    message: (id, { urgent, expiresInMs, exchange, text, answers } = {}) => ({
      ...{
        id,
        from: ann,
        to: bob,
        type: 'notification',
        payload: { text: text ?? 'hello', answers: answers ?? null },
      },
      ...(exchange === undefined ? {} : { correlationId: exchange }),
      metadata: {
        ...{ ...metadata, priority: urgent === true ? 'critical' : 'medium' },
        ...(expiresInMs === undefined ? {} : { ttl: expiresInMs }),
      },
    }),
    answer: (id, to) => ({
      ...{ id, correlationId: String(to.id), from: bob, to: ann, type: 'response', payload: { ok: true } },
      metadata: {},
    }),
    broken: () => ({ id: 'broken', from: ann, to: bob, type: 'notification', metadata: {} }),
    idOf: message => message.id,
    codeOf: body => body.code ?? body.payload?.code,
    isError: message => message.type === 'error',
    sealing: {
      ...{ senderAgent: ann, receiverAgent: bob, type: 'notification', confidential: 'payload' },
      ...{ signatureAt: ['metadata', 'signature'], timestampAt: ['metadata', 'timestamp'] },
      request: (id, words) => ({
        ...{ id, from: ann, to: 'executor', type: 'request', metadata },
        payload: {
          ...{ action: 'create_content', contentId: id.replaceAll('.', '-') },
          content: { title: words, content: words },
        },
      }),
      async seen({ id }) {
        const answered = async (): Promise<readonly Loose[]> => sender.read('blog', ann, { wait: 5 });
        const [answer] = (await answered()).filter(({ message }) => message.correlationId === id);
        const { body } = await post.admin.ask('GET', `/api/v2/tasks?correlation_id=${String(id)}&limit=1`);
        const taskId = body.tasks?.[0]?.task_id;
        const task = taskId === undefined ? null : await post.server.engine.task(DEFAULT_TENANT, taskId);
        return JSON.stringify([answer, task]);
      },
      critical: id => ({
        ...{ id, from: ann, to: bob, type: 'notification', payload: { text: 'grave' } },
        metadata: { ...metadata, priority: 'critical' },
      }),
    },
  };
}

testDialect('blog', () => openPost(), openBench);
