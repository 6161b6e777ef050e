import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ServeOptions, serve } from '../../../../test/serve.ts';

const PATH = '/api/v2/schedules';
const task = {
  task_type: 'code_execution',
  description: 'nightly import',
  orchestrator_info: { agent_id: 'nightly-agent' },
  task_data: { day: '$'.concat('{scheduled_date}') },
  notification_config: { webhook_url: 'https://receiver.test/hook', webhook_secret: 'do-not-show' },
};
const nightly = { schedule_id: 'nightly', cron: '30 2 * * *', timezone: 'Europe/Berlin', task };

const setup = async (t: { after(fn: () => Promise<void>): void }, options: ServeOptions = {}) => {
  const served = await serve(options);
  t.after(() => served.stop());
  return { ...served, make: (body: object, as = 'admin') => served.ask('POST', PATH, { body, as }) };
};

test('scheduled tasks: a schedule is made, listed, shown with its next runs, paused, resumed and deleted', async t => {
  const { ask, make } = await setup(t);
  const made = await make(nightly);
  assert.equal(made.status, 201);
  assert.equal(made.body.next_runs.length, 5);
  assert.deepEqual([made.body.state, made.body.overlap, made.body.catch_up], ['active', 'skip', 'once']);
  assert.equal(JSON.stringify(made.body).includes('do-not-show'), false);
  assert.deepEqual((await ask('GET', PATH)).body.total, 1);
  const paused = await ask('POST', `${PATH}/nightly/pause`);
  assert.deepEqual([paused.body.state, paused.body.next_runs], ['paused', []]);
  assert.equal((await ask('POST', `${PATH}/nightly/resume`)).body.state, 'active');
  assert.equal((await ask('GET', `${PATH}/nightly`)).body.timezone, 'Europe/Berlin');
  assert.equal((await make(nightly)).status, 409);
  assert.equal((await ask('DELETE', `${PATH}/nightly`)).status, 204);
  assert.equal((await ask('GET', `${PATH}/nightly`)).status, 404);
});

test('scheduled tasks: run now makes a task with the words of the template replaced, found by its correlation', async t => {
  const { ask, make } = await setup(t);
  await make(nightly);
  const run = await ask('POST', `${PATH}/nightly/run`);
  assert.equal(run.status, 200);
  assert.match(run.body.task_id, /^nightly\.manual\.\d+$/);
  const found = await ask('GET', '/api/v2/task-status?correlation_id=schedule:nightly');
  assert.equal(found.body.total, 1);
});

test('scheduled tasks: what is no timing, what contradicts itself and what may never run is refused, each fault named', async t => {
  const { make } = await setup(t);
  const fieldOf = async (body: object) => (await make(body)).body.error.details.errors?.[0]?.field;
  assert.equal(await fieldOf({ ...nightly, cron: '61 * * * *' }), 'cron');
  assert.equal(await fieldOf({ ...nightly, timezone: 'Europe/Atlantis' }), 'timezone');
  assert.equal(await fieldOf({ ...nightly, interval: 60 }), 'cron');
  const keyed = { ...task, execution_config: { concurrency: { key: 'mine' } } };
  assert.equal(await fieldOf({ ...nightly, overlap: 'queue', task: keyed }), 'overlap');
  const orphan = { ...task, task_type: 'custom', task_data: { type_name: 'nobody' } };
  assert.equal((await make({ ...nightly, task: orphan })).status, 422);
});

test('scheduled tasks: they need task:execute, and no tenant sees another one’s', async t => {
  const { ask, make } = await setup(t);
  assert.equal((await make(nightly, 'reader')).status, 403);
  await make(nightly);
  assert.equal((await ask('GET', `${PATH}/nightly`, { as: 'stranger' })).status, 404);
  assert.equal((await ask('DELETE', `${PATH}/nightly`, { as: 'stranger' })).status, 404);
  assert.equal((await make(nightly, 'stranger')).status, 201);
});

test('scheduled tasks: a credential narrowed to other task types or another agent steers no schedule it could not make', async t => {
  const badges = {
    typed: { permissions: ['task:execute'], taskTypes: ['data_processing'] },
    bound: { permissions: ['task:execute'], agentId: 'somebody-else' },
  } as const;
  const { ask, make } = await setup(t, { badges });
  await make(nightly);
  for (const as of ['typed', 'bound']) {
    for (const verb of ['run', 'pause', 'resume'])
      assert.equal((await ask('POST', `${PATH}/nightly/${verb}`, { as })).status, 403, `${as} ${verb}`);
    assert.equal((await ask('DELETE', `${PATH}/nightly`, { as })).status, 403);
    assert.equal((await make({ ...nightly, schedule_id: 'mine' }, as)).status, 403);
  }
});
