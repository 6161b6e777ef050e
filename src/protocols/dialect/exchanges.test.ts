import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Draft, Meaning, Message } from '../../domain/message.ts';
import { diagramOf } from './exchanges.ts';

function said(from: string, to: readonly string[], meaning: Meaning, more: Partial<Draft> = {}): Message {
  return { from, to, meaning, type: meaning.act, replyTo: null, ...more } as unknown as Message;
}

test('a diagram has a line for each receiver: solid for what asks, dashed for what answers, crossed for what failed, a note for news', () => {
  const answers = { replyTo: 'm1' } as Partial<Draft>;
  const task = { taskType: 'write', taskId: 't', description: '', input: null, terms: {}, retryCount: 0 };
  const fault = { code: 'forbidden', message: '', recoverable: false, details: {} } as const;
  const diagram = diagramOf([
    said('ann', ['bob', 'cleo'], { act: 'request_task', task } as unknown as Meaning),
    said('bob', ['ann'], { act: 'say', body: null }, answers),
    said('cleo', ['ann'], { act: 'refuse', taskId: null, fault }, answers),
    said('ann', [], { act: 'notify', topic: 'done', data: null }),
  ]);
  assert.equal(
    diagram,
    [
      'sequenceDiagram',
      '  participant p0 as ann',
      '  participant p1 as bob',
      '  participant p2 as cleo',
      '  p0->>p1: request_task (write)',
      '  p0->>p2: request_task (write)',
      '  p1-->>p0: say',
      '  p2--xp0: refuse (forbidden)',
      '  Note over p0: notify (done)',
      '',
    ].join('\n'),
  );
});

test('nothing an agent calls itself or its messages can become a part of the diagram', () => {
  const evil = 'x\nend\n  participant p9 as <b>; %% "{}[]|#';
  const diagram = diagramOf([said(evil, [`${evil}2`], { act: 'say', body: null }, { type: evil })]);
  const lines = diagram.trimEnd().split('\n');
  assert.equal(lines.length, 4);
  assert.doesNotMatch(diagram.replaceAll('p0->>p1', '').replaceAll(/#\d+;/g, ''), /[;#<>%"{}[\]|]/);
});
