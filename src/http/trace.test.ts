import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemRandom } from '../runtime/random.ts';
import { traceOf } from './trace.ts';

const incoming = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

test('SAM-2 a well-formed traceparent is continued', () => {
  assert.deepEqual(traceOf(incoming, systemRandom), {
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    traceparent: incoming,
  });
});

test('SAM-2 an absent or malformed traceparent begins a new trace', () => {
  const malformed = [
    undefined,
    '',
    'garbage',
    incoming.replace('4bf9', '4BF9'),
    incoming.replace('4bf92f3577b34da6a3ce929d0e0e4736', '0'.repeat(32)),
    incoming.replace('00f067aa0ba902b7', '0'.repeat(16)),
    incoming.replace(/^00/, 'ff'),
  ];
  for (const header of malformed) {
    const { traceId, traceparent } = traceOf(header, systemRandom);
    assert.match(traceparent, new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
    assert.notEqual(traceId, '4bf92f3577b34da6a3ce929d0e0e4736');
  }
});
