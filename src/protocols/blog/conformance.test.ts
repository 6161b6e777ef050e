// The blog wire does what all message wires must.

import { testDialect } from '../../../test/dialects/conformance.ts';
import type { Bench } from '../../../test/dialects/setup.ts';
import { openPost, type Post } from '../../../test/post.ts';

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
        ...{ timestamp: '2026-02-24T10:00:00.000Z', priority: urgent === true ? 'critical' : 'medium' },
        ...(expiresInMs === undefined ? {} : { ttl: expiresInMs }),
      },
    }),
    answer: (id, to) => ({
      ...{ id, correlationId: String(to.id), from: bob, to: ann, type: 'response', payload: { ok: true } },
      metadata: {},
    }),
    broken: () => ({ id: 'broken', from: ann, to: bob, type: 'notification', metadata: {} }),
    idOf: message => message.id,
    codeOf: body => body.code,
    isError: message => message.type === 'error',
  };
}

testDialect('blog', () => openPost(), openBench);
