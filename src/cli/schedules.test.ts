import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shell } from './shell.test.ts';
import { waitingText } from './task-text.ts';

const nightly = {
  schedule_id: 'nightly',
  state: 'active',
  cron: '30 2 * * *',
  timezone: 'Europe/Berlin',
  overlap: 'skip',
  catch_up: 'once',
  task: { task_type: 'code_execution', description: 'import', task_data: {} },
  next_runs: ['2026-01-31T01:30:00.000Z', '2026-02-01T01:30:00.000Z'],
  last_run: { task_id: 'nightly.20260130T013000Z', scheduled_at: '2026-01-30T01:30:00.000Z' },
  runs: 3,
  skipped: 1,
  last_error: null,
  correlation_id: 'schedule:nightly',
};

test('scheduled tasks: schedules are a table, or one of them with its next runs', async context => {
  const { run } = await shell(context, asked => ({
    json: asked.path.endsWith('nightly') ? nightly : { schedules: [nightly], total: 1 },
  }));
  const all = await run('schedules');
  assert.match(
    all.out,
    /^ID +STATE +WHEN .*\nnightly +active +30 2 \* \* \* \(Europe\/Berlin\) +2026-01-31T01:30/,
  );
  const one = await run('schedules show nightly');
  assert.match(one.out, /runs +3, 1 skipped/);
  assert.match(one.out, /next {2}2026-02-01T01:30:00.000Z\n/);
  assert.deepEqual((await run('schedules show nightly --json')).json, nightly);
});

test('scheduled tasks: one is made from when and what, and steered by its name', async context => {
  const { run, end } = await shell(context, asked =>
    asked.method === 'DELETE' ? { status: 204 } : { json: nightly },
  );
  await run('schedules create nightly --every 60 --overlap queue --type code_execution --data {"a":1}');
  const { task, ...terms } = JSON.parse(end.asked[0]?.text ?? '');
  assert.deepEqual(terms, { schedule_id: 'nightly', interval: 60, overlap: 'queue' });
  assert.deepEqual([task.task_type, task.task_data], ['code_execution', { a: 1 }]);
  assert.match((await run('schedules pause nightly')).out, /nightly/);
  await run('schedules resume nightly');
  await run('schedules run nightly');
  assert.match((await run('schedules delete nightly')).out, /deleted nightly/);
  assert.deepEqual(
    end.asked
      .slice(1)
      .map(({ method, path }) => `${method} ${path.slice('/api/v2/schedules/nightly'.length)}`),
    ['POST /pause', 'POST /resume', 'POST /run', 'DELETE '],
  );
});

test('concurrency keys: why a task waits is told in words with the holders', () => {
  const waiting = { because: 'concurrency', key: 'shop', limit: 2, held_by: ['a', 'b'], position: 1 };
  assert.match(waitingText(waiting), /^2 of its key "shop" may run at once, and do: a, b/);
});
