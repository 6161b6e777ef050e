import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Asked, statusOf } from '../sdk/far-end.test.ts';
import { shell } from './shell.test.ts';

const events: readonly (readonly [string, object])[] = [
  ['state_changed', { from: 'queued', to: 'running', state: 'running', attempt: 1 }],
  ['task_started', { state: 'running', attempt: 1, timestamp: '2026-01-31T11:59:00.000Z' }],
  ['log', { level: 'INFO', message: 'half way' }],
  ['task_progress', { attempt: 1, progress: { percentage: 50, current_step: 'page 5 of 10' } }],
  ['resource_warning', { resource: 'memory', value: 900, limit: 1000 }],
  ['task_completed', { to: 'completed', state: 'completed' }],
  ['end', { state: 'completed', outcome: 'completed' }],
];

async function setup(context: TestContext, outcome: 'completed' | 'failed' = 'completed') {
  const text = events
    .map(([event, data], id) => `id: ${id + 1}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
    .join('');
  return shell(context, (asked: Asked) =>
    asked.path.startsWith('/api/v2/task-events')
      ? { headers: { 'content-type': 'text/event-stream' }, text }
      : { json: statusOf('t1', { state: outcome, outcome, progress: { percentage: 100 } }, { output: 42 }) },
  );
}

test('on a terminal one line is drawn over and over, then the task as it ended', async context => {
  const { run } = await setup(context);
  const { exitCode, out } = await run('watch t1', { isTerminal: true, environment: { NO_COLOR: '1' } });
  assert.equal(exitCode, 0);
  const frames = out.split('\r').filter(frame => frame.includes('\u001b[K'));
  assert.match(frames[2] ?? '', /^t1 {2}█{12}░{12} {2}50 % {2}running {2}0:00 {2}page 5 of 10/);
  assert.match(frames.at(-1) ?? '', /█{24} 100 % {2}completed/);
  assert.match(out, /\nt1 {2}completed {2}█{24} 100 %\n/);
  assert.ok(!out.includes('half way'), 'log lines are for --logs');
  assert.ok(out.split('\n').length < 12, 'frames are drawn over, not below, one another');
});

test('elsewhere each event is a plain line, without colours or log lines', async context => {
  const { run } = await setup(context);
  const { out } = await run('watch t1');
  assert.ok(!out.includes('\u001b') && !out.includes('\r') && !out.includes('half way'));
  const lines = out.split('\n');
  assert.equal(lines[0], 'state_changed  queued → running');
  assert.equal(lines[1], '2026-01-31T11:59:00.000Z  task_started');
  assert.equal(lines[2], 'task_progress  50 %  page 5 of 10');
  assert.equal(lines[3], 'resource_warning  memory 900 of 1000');
  assert.equal(lines[5], 'end  completed');
});

test('with --json each event is a line of JSON, and nothing else is printed', async context => {
  const { run } = await setup(context);
  const { lines, err } = await run('watch t1 --json --logs', { isTerminal: true });
  assert.deepEqual(
    lines.map(({ event }) => event),
    events.map(([event]) => event),
  );
  assert.deepEqual(lines[3]?.data, events[3]?.[1]);
  assert.equal(err, '');
});

test('log lines are shown where they are asked for', async context => {
  const { run } = await setup(context);
  assert.match((await run('watch t1 --logs')).out, /log {2}INFO half way\n/);
});

test('a task that does not complete ends the watch with 1', async context => {
  const { run } = await setup(context, 'failed');
  assert.equal((await run('watch t1')).exitCode, 1);
});
