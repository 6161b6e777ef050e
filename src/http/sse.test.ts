import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventText } from './sse.ts';

test('an event of several lines is written as one event of several data lines', () => {
  assert.equal(
    eventText({ id: '7', event: 'log', data: 'a\nb\r\nc' }),
    'id: 7\nevent: log\ndata: a\ndata: b\ndata: c\n\n',
  );
});

test('a line break in a name or id cannot begin a field of its own', () => {
  assert.equal(
    eventText({ id: '1\nevent: end', comment: 'x\r\ndata: y' }),
    ': x data: y\nid: 1 event: end\n\n',
  );
});
