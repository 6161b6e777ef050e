// What every dialect must do, over army envelopes.

import { testDialect } from '../../../test/dialects/conformance.ts';
import type { Bench, BenchSealing } from '../../../test/dialects/setup.ts';
import { type Correspondent, openPost, type Post } from '../../../test/post.ts';

async function openBench(post: Post, tag: string): Promise<Bench> {
  const [boss, hand] = [`${tag}-boss`, `${tag}-hand`];
  const sender = await post.register(boss, { roles: ['army:supervisor'] });
  const receiver = await post.register(hand, { roles: ['army:writer'] });
  const timestamp = '2026-01-01T12:00:00Z';
  return {
    ...{ post, name: 'army', sender, receiver, senderInbox: boss, receiverInbox: hand },
    message: (id, { urgent, expiresInMs, exchange, text, answers } = {}) => ({
      ...{ id, timestamp, from: 'supervisor', to: `writer:${hand}`, type: 'coordination' },
      payload: { action: 'note', text: text ?? 'hello' },
      metadata: {
        priority: urgent === true ? 'critical' : 'normal',
        ...(expiresInMs === undefined ? {} : { deadline: new Date(Date.now() + expiresInMs).toISOString() }),
      },
      ...(exchange === undefined ? {} : { correlation_id: exchange }),
      ...(answers === undefined ? {} : { reply_to: answers }),
    }),
    answer: (id, to) => ({
      ...{
        id,
        timestamp,
        from: 'writer',
        to: 'supervisor',
        type: 'status_response',
        reply_to: String(to.id),
      },
      payload: { status: 'noted' },
    }),
    broken: () => ({ id: 'broken', timestamp, from: 'supervisor', type: 'coordination' }),
    idOf: message => message.id,
    codeOf: body => body.error_code ?? body.payload?.error_code,
    words: {
      ...{ invalid_request: 'VALIDATION_ERROR', unserializable: 'MALFORMED_MESSAGE' },
      ...{ unauthenticated: 'UNAUTHENTICATED', forbidden: 'FORBIDDEN', conflict: 'CONFLICT' },
      ...{ lease_lost: 'LEASE_LOST', not_found: 'NOT_FOUND', payload_too_large: 'PAYLOAD_TOO_LARGE' },
      rate_limited: 'RATE_LIMITED',
    },
    isError: message => message.type === 'error',
    sealing: sealingOf(sender, boss, hand, tag),
  };
}

/** What is asked of the built-in memory and found in it again. */
function sealingOf(sender: Correspondent, boss: string, hand: string, tag: string): BenchSealing {
  return {
    ...{ senderAgent: boss, receiverAgent: hand, type: 'coordination', confidential: 'payload' },
    ...{ signatureAt: ['signature'], timestampAt: ['timestamp'], marks: { encryption: 'end-to-end' } },
    request: (id, words) => ({
      ...{ id, timestamp: new Date().toISOString(), from: 'supervisor', to: 'memory' },
      ...{ type: 'memory_store', payload: { key: `${tag}-${id}`, value: words } },
    }),
    async seen({ id }) {
      const [stored] = await sender.read('army', boss, { wait: 8 });
      if (stored?.message.reply_to !== id) return JSON.stringify(stored);
      const { body } = await sender.send(
        'army',
        {
          ...{ id: `${tag}-seen`, timestamp: new Date().toISOString(), from: 'supervisor', to: 'memory' },
          ...{
            type: 'memory_query',
            payload: { query: { type: 'key', text: `${tag}-${id}` } },
          },
        },
        '?wait=8',
      );
      return JSON.stringify(body.reply?.payload);
    },
    critical: id => ({
      ...{
        id,
        timestamp: '2026-01-01T12:00:00Z',
        from: 'supervisor',
        to: `writer:${hand}`,
        type: 'coordination',
      },
      ...{ payload: { action: 'note', text: 'grave' }, metadata: { priority: 'critical' } },
    }),
  };
}

testDialect('army', () => openPost(), openBench);
