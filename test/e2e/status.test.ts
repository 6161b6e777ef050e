import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import type { Loose } from '../serve.ts';
import { hire, logged, statusOf, submit, taskOf, until } from './crew.ts';
import { running } from './running.ts';

const house = await running();
after(() => house.stop());
const { admin } = house;
const idsOf = (body: Loose): string[] => body.tasks.map((one: Loose) => one.task_id);

suite('one task', () => {
  test('SAM-55 is told with its place, use and results, an unknown one is TASK_NOT_FOUND', async () => {
    await hire(admin, 'told');
    await submit(admin, taskOf('told', 'told', { context: { shared_state: { a: 1 } } }));
    const status = await statusOf(admin, 'told', '?include_logs=true&include_context=true');
    for (const field of ['execution_id', 'agent_id', 'current_status', 'resource_usage', 'execution_details'])
      assert.ok(field in status, field);
    assert.deepEqual(status.context, { shared_state: { a: 1 } });
    const { body } = await admin.get('/api/v2/task-status/never', { expect: 404 });
    assert.equal(body.error.code, 'TASK_NOT_FOUND');
  });

  test('SAM-55 answers 304 while it is unchanged, and anew once it moved', async () => {
    const worker = await hire(admin, 'tag');
    await submit(admin, taskOf('tag', 'tag'));
    const path = '/api/v2/task-status/tag';
    const first = await admin.get(path);
    const etag = first.headers.get('etag') ?? '';
    const headers = { 'if-none-match': etag };
    const same = await admin.get(path, { headers, expect: 304 });
    assert.equal(same.bytes.length, 0);
    assert.equal(same.headers.get('etag'), etag);
    const lease = await worker.lease();
    const moved = await admin.get(path, { headers, expect: 200 });
    assert.equal(moved.body.current_status.state, 'running');
    await worker.report(lease, { percentage: 10 });
    const reported = await admin.get(path, { headers: { 'if-none-match': moved.headers.get('etag') ?? '' } });
    assert.equal(reported.status, 200);
    assert.equal(reported.body.current_status.progress.percentage, 10);
  });

  test('SAM-56 bears logs, metrics and context only where asked, of the level and age asked', async () => {
    const worker = await hire(admin, 'parts');
    await submit(admin, taskOf('parts', 'parts'));
    const lease = await worker.lease();
    const { task_id, fencing_token } = lease;
    const line = (level: string, message: string): object => ({ task_id, fencing_token, level, message });
    await worker.exchange({ logs: [line('debug', 'quiet'), line('error', 'loud')] });
    await logged(admin, 'parts', 'loud');
    const plain = await statusOf(admin, 'parts');
    assert.deepEqual(
      ['logs', 'metrics', 'context'].map(name => name in plain),
      [false, true, false],
    );
    const bare = await statusOf(admin, 'parts', '?include_metrics=false&include_context=true');
    assert.deepEqual(
      ['metrics', 'context'].map(name => name in bare),
      [false, true],
    );
    const messages = async (query: string): Promise<string[]> =>
      (await statusOf(admin, 'parts', query)).logs.map((one: Loose) => one.message);
    const all = await messages('?include_logs=true&log_level=debug');
    assert.ok(all.includes('quiet') && all.includes('loud'));
    const severe = await messages('?include_logs=true&log_level=error');
    assert.ok(!severe.includes('quiet') && severe.includes('loud'));
    assert.deepEqual(await messages('?include_logs=true&since=2999-01-01T00:00:00Z'), []);
    const { body } = await admin.get('/api/v2/task-status/parts?log_level=shout&since=yesterday', {
      expect: 400,
    });
    assert.deepEqual(body.error.details.errors.map((one: Loose) => one.field).sort(), ['log_level', 'since']);
  });

  test('SAM-57 SAM-58 SAM-59 shows its state, progress and use while it waits, runs, pauses and after its end', async () => {
    const worker = await hire(admin, 'walk');
    await submit(admin, taskOf('walk', 'walk', { execution_config: { resource_limits: { memory_mb: 64 } } }));
    const now = async (): Promise<Loose> => (await statusOf(admin, 'walk')).current_status;
    const waiting = await now();
    assert.deepEqual([waiting.state, waiting.phase, waiting.queue_position], ['queued', 'init', 1]);
    assert.ok(!('started' in waiting.timestamps));
    const lease = await worker.lease();
    await worker.report(lease, {
      percentage: 100,
      current_step: 'last',
      total_steps: 4,
      checkpoint: { at: 4 },
    });
    const run = await statusOf(admin, 'walk');
    assert.deepEqual([run.current_status.state, run.current_status.phase], ['running', 'run']);
    const { progress } = run.current_status;
    assert.deepEqual([progress.percentage, progress.current_step, progress.total_steps], [99, 'last', 4]);
    assert.equal(run.resource_usage.memory.limit_mb, 64);
    assert.equal(run.agent_id, worker.agentId);
    await admin.post('/api/v2/tasks/walk/pause');
    const paused = await now();
    assert.deepEqual([paused.state, paused.paused, paused.lifecycle_state], ['queued', true, 'paused']);
    await admin.post('/api/v2/tasks/walk/resume');
    const second = await worker.lease();
    assert.deepEqual(second.checkpoint, { at: 4 });
    const metrics = { memory_used: 32, bytes_sent: 10, bytes_received: 5 };
    await worker.complete(second, [1], { metrics });
    const end = await until(admin, 'walk', ({ current_status: { outcome } }) => outcome !== null);
    assert.deepEqual([end.current_status.state, end.current_status.progress.percentage], ['completed', 100]);
    assert.deepEqual(end.execution_details.output, [1]);
    assert.deepEqual(end.resource_usage.network, { bytes_sent: 10, bytes_received: 5 });
    assert.deepEqual([end.resource_usage.memory.current_mb, end.resource_usage.memory.peak_mb], [0, 32]);
  });
});

suite('many tasks', () => {
  test('SAM-60 SAM-5 are found by every filter and by all together, paged in a stable order', async () => {
    const worker = await hire(admin, 'many');
    const of = (n: number, more: object = {}): object => ({
      ...taskOf(`many-${n}`, 'many'),
      orchestrator_info: { agent_id: `boss-${n % 2}`, timestamp: '2026-01-01T00:00:00Z', ...more },
    });
    const tasks = Array.from({ length: 6 }, (_, n) =>
      of(n, { session_id: 's', user_id: `u${n % 3}`, correlation_id: `c${n}` }),
    );
    await admin.post('/api/v2/execute-task/batch', { tasks });
    await worker.complete(await worker.lease(), null);
    const list = async (query: string): Promise<Loose> =>
      (await admin.get(`/api/v2/task-status?${query}`)).body;
    assert.equal((await list('session_id=s')).total, 6);
    assert.deepEqual(idsOf(await list('session_id=s&user_id=u1')).sort(), ['many-1', 'many-4']);
    assert.deepEqual(idsOf(await list('correlation_id=c5')), ['many-5']);
    assert.deepEqual(idsOf(await list('session_id=s&status=completed')), ['many-0']);
    assert.equal((await list('session_id=s&status=queued')).total, 5);
    assert.equal((await list('agent_id=boss-1')).total, 3);
    const pages = [await list('session_id=s&limit=4'), await list('session_id=s&limit=4&offset=4')];
    assert.equal(new Set(pages.flatMap(idsOf)).size, 6);
    assert.deepEqual([pages[1].total, pages[1].limit, pages[1].offset], [6, 4, 4]);
    const named = await list('task_ids=many-1,missing,many-2');
    assert.deepEqual([idsOf(named).sort(), named.not_found], [['many-1', 'many-2'], ['missing']]);
  });

  test('SAM-60 more than a thousand ids, or a state that does not exist, are refused naming the parameter', async () => {
    const ids = Array.from({ length: 1_001 }, (_, n) => `i${n}`).join();
    const { body } = await admin.get(`/api/v2/task-status?task_ids=${ids}`, { expect: 400 });
    assert.equal(body.error.details.errors[0].field, 'task_ids');
    const { body: wrong } = await admin.get('/api/v2/task-status?status=lost&limit=1001', { expect: 400 });
    assert.deepEqual(wrong.error.details.errors.map((one: Loose) => one.field).sort(), ['limit', 'status']);
  });
});
