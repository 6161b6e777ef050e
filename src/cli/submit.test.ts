import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { statusOf, wireError } from '../sdk/far-end.test.ts';
import { call, directory, shell } from './shell.test.ts';

const accepted = {
  json: {
    status: 'queued',
    task_id: 't1',
    execution_id: 'e1',
    queue_position: 3,
    timestamps: { estimated_start: '2026-01-31T12:01:00.000Z' },
  },
};

test('a task is made of flags', async context => {
  const { run, end } = await shell(context, () => accepted);
  const printed = await run([
    'submit',
    '--type',
    'custom:resize',
    '--data',
    '{"width":10}',
    ...'--id t1 --priority high --timeout 60 --retries 2 --depends-on a,b --depends-on c'.split(' '),
    ...'--label team=art --label note=a=b --webhook https://me/hook --webhook-secret s'.split(' '),
    ...'--cache 60 --concurrency-key shop --concurrency-limit 2'.split(' '),
    ...'--correlation-id c1 --description'.split(' '),
    'make it small',
  ]);
  assert.equal(printed.exitCode, 0);
  assert.equal(printed.out, 'queued  t1  place 3, expected to start 2026-01-31T12:01:00.000Z\n');
  assert.match(printed.err, /batuta watch t1/);
  const { orchestrator_info: _, ...body } = end.asked[0]?.json ?? {};
  assert.deepEqual(body, {
    task_id: 't1',
    task_type: 'custom',
    task_data: { width: 10, type_name: 'resize' },
    description: 'make it small',
    priority: 'high',
    timeout: 60,
    notification_config: { webhook_url: 'https://me/hook', webhook_secret: 's' },
    execution_config: {
      max_retries: 2,
      depends_on: ['a', 'b', 'c'],
      labels: { team: 'art', note: 'a=b' },
      cache: { ttl: 60 },
      concurrency: { key: 'shop', limit: 2 },
    },
  });
  assert.deepEqual(end.asked[0]?.json.orchestrator_info, {
    agent_id: 'batuta-cli',
    timestamp: '2026-01-31T12:00:00.000Z',
    correlation_id: 'c1',
  });
});

test('a whole request comes from a file or standard input, and flags win over it', async context => {
  const path = join(directory(context), 'task.json');
  const request = {
    task_id: 'from-file',
    task_type: 'code_execution',
    description: 'from file',
    task_data: { language: 'python', code: '1' },
    execution_config: { max_retries: 7, region: 'eu' },
    x_unknown: true,
  };
  writeFileSync(path, JSON.stringify(request));
  const { run, end } = await shell(context, () => accepted);
  await run(['submit', '--file', path, '--retries', '0', '--data', '{"code":"2"}']);
  await run('submit --file -', { stdin: JSON.stringify(request) });
  assert.deepEqual(end.asked[0]?.json.execution_config, { max_retries: 0, region: 'eu' });
  assert.deepEqual(end.asked[0]?.json.task_data, { language: 'python', code: '2' });
  assert.equal(end.asked[0]?.json.x_unknown, true);
  assert.equal(end.asked[1]?.json.task_id, 'from-file');
});

test('data comes from a file or standard input', async context => {
  const path = join(directory(context), 'data.json');
  writeFileSync(path, '{"code":"from file"}');
  const { run, end } = await shell(context, () => accepted);
  await run(['submit', '--type', 'code_execution', '--data', `@${path}`]);
  await run('submit --type code_execution --data -', { stdin: '{"code":"from stdin"}' });
  assert.deepEqual(
    end.asked.map(({ json }) => json.task_data),
    [{ code: 'from file' }, { code: 'from stdin' }],
  );
});

test('what cannot be meant is told before anything is sent', async context => {
  const { run, end } = await shell(context, () => accepted);
  for (const [words, message, hint] of [
    [['submit'], 'a task needs a type', 'code_execution'],
    [['submit', '-t', 'code_exec'], 'there is no task type "code_exec"', 'custom:code_exec'],
    [['submit', '-t', 'code_executoin'], 'there is no task type', 'did you mean code_execution?'],
    [['submit', '-t', 'custom:'], 'there is no task type "custom:"', ''],
    [['submit', '-t', 'custom:a', '-d', '{bad'], '--data is not JSON', 'use @file'],
    [['submit', '-t', 'custom:a', '-d', '[1]'], '--data must be a JSON object, not an array', ''],
    [['submit', '-t', 'custom:a', '-d', '@/nowhere/x.json'], '--data cannot be read', ''],
    [['submit', '-f', '-', '-d', '-'], 'cannot both be standard input', ''],
    [['submit', '-t', 'custom:a', '--label', 'nameless'], '--label "nameless" is not name=value', ''],
    [['submit', '-t', 'custom:a', '--webhook-secret', 's'], '--webhook-secret needs a --webhook', ''],
    [['submit', '-t', 'custom:a', '--priority', 'asap'], "argument 'asap' is invalid", ''],
    [['submit', '-t', 'custom:a', '--timeout', '1.5'], '--timeout must be a whole number', ''],
  ] as const) {
    const { exitCode, err } = await run(words);
    assert.equal(exitCode, 2, words.join(' '));
    assert.ok(err.includes(message) && err.includes(hint), `${words.join(' ')}: ${err}`);
  }
  assert.equal(end.asked.length, 0);
});

test('waiting prints the output alone, ready for a pipe', async context => {
  const { run } = await shell(context, asked =>
    asked.path === '/api/v2/execute-task'
      ? accepted
      : { json: statusOf('t1', { state: 'completed', outcome: 'completed' }, { output: { sum: 3 } }) },
  );
  const printed = await run('submit --type custom:add --wait');
  assert.deepEqual([printed.exitCode, printed.out], [0, '{\n  "sum": 3\n}\n']);
  const machine = await run('submit --type custom:add --wait --json');
  assert.deepEqual(machine.json.execution_details, { output: { sum: 3 } });
  assert.equal(machine.err, '');
});

test('waiting for a task that fails ends with 1, its error on standard error and nothing in the pipe', async context => {
  const failed = statusOf(
    't1',
    { state: 'failed', outcome: 'failed' },
    { error_details: { code: 'EXECUTION_ERROR', message: 'division by zero' } },
  );
  const { run } = await shell(context, asked =>
    asked.path === '/api/v2/execute-task' ? accepted : { json: failed },
  );
  const printed = await run('submit --type custom:divide --wait');
  assert.deepEqual([printed.exitCode, printed.out], [1, '']);
  assert.match(printed.err, /error: division by zero\nhint: batuta logs t1/);
  const machine = await run('submit --type custom:divide --wait --json');
  assert.equal(machine.exitCode, 1);
  assert.equal(machine.json.task_id, 't1');
});

test('an id that is taken by something else is a conflict', async context => {
  const { run } = await shell(context, () => wireError(409, 'CONFLICT'));
  assert.equal((await run('submit --type custom:a --id t1')).exitCode, 6);
});

test('without a way in the refusal says where one is looked for', async context => {
  const { end } = await shell(context, () => wireError(401, 'UNAUTHORIZED'));
  const { exitCode, err } = await call(['submit', '--type', 'custom:a', '--url', end.url]);
  assert.equal(exitCode, 4);
  assert.match(err, /credentials\.json/);
});
