// Bodies in either format: what one cannot say goes in the other, and what neither reads is answered with what is taken.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unpack } from 'msgpackr';
import { DomainError } from '../../domain/errors.ts';
import type { Reply } from '../protocol.ts';
import { answer, readBody } from './media.ts';

const WANTS_MSGPACK = { accept: 'application/msgpack' };

async function bytesOf(reply: Reply): Promise<Buffer> {
  assert.equal(reply.kind, 'stream');
  return reply.kind === 'stream' ? Buffer.concat(await reply.body.toArray()) : Buffer.alloc(0);
}

test('TASK-8 TASK-56 what MessagePack can say is answered in it to who accepts it, and reads back equal', async () => {
  const body = { message: { text: 'ñandú 🎼', n: -1.5, list: [null, true, {}] }, absent: undefined };
  const reply = answer(200, body, WANTS_MSGPACK);
  assert.deepEqual(unpack(await bytesOf(reply)), JSON.parse(JSON.stringify(body)));
  assert.equal(answer(200, body, {}).kind, 'json');
});

test('TASK-56 what fails in MessagePack is sent as JSON, as it is', () => {
  // Half a pair comes through an agent's own result; MessagePack would make another text of it.
  const halved = { message: { result: '\ud83c' } };
  const reply = answer(207, halved, WANTS_MSGPACK, { deprecation: '@1' });
  assert.deepEqual(reply, { kind: 'json', status: 207, body: halved, headers: { deprecation: '@1' } });
});

test('TASK-56 an unreadable body is answered with the media types and encodings that are taken', async () => {
  const cases: readonly [Uint8Array, Readonly<Record<string, string>>][] = [
    [Uint8Array.of(0xc1), { 'content-type': 'application/msgpack' }],
    [Uint8Array.of(0x81, 0xa1, 0x61, 0xc1), { 'content-type': 'application/msgpack' }],
    [Buffer.from('{"a":'), {}],
    [Buffer.from('a: 1'), { 'content-type': 'application/yaml' }],
    [Buffer.from('{}'), { 'content-encoding': 'br' }],
    [Buffer.from('{}'), { 'content-encoding': 'gzip' }],
  ];
  for (const [bytes, headers] of cases)
    await assert.rejects(readBody(bytes, headers), error => {
      assert.ok(error instanceof DomainError && error.code === 'unserializable');
      assert.deepEqual(error.details.accepted, ['application/json', 'application/msgpack']);
      assert.deepEqual(error.details.encodings, ['identity', 'gzip']);
      return true;
    });
});
