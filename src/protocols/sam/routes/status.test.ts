import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { type Loose, type Served, type ServeOptions, serve, taskBody } from '../../../../test/serve.ts';

const setup = async (t: { after(fn: () => Promise<void>): void }, options: ServeOptions = {}) => {
  const served = await serve(options);
  t.after(() => served.stop());
  return served;
};

const submit = ({ ask }: Served, id: string, more: object = {}) =>
  ask('POST', '/api/v2/execute-task', { body: taskBody(id, more) });

/** The status once the task has ended. */
async function ended({ ask }: Served, id: string, query = ''): Promise<Loose> {
  for (;;) {
    const { body } = await ask('GET', `/api/v2/task-status/${id}${query}`);
    if (body.current_status.outcome !== null) return body;
  }
}

test('SAM-55 SAM-57 SAM-58 SAM-59 a completed task shows its state, times, output and what it used', async t => {
  const served = await setup(t, {
    run: async context => {
      context.report({ percentage: 40, currentStep: 'halfway', totalSteps: 2, intermediate: { page: 1 } });
      return {
        status: 'completed',
        output: { answer: 42 },
        metrics: {
          memoryPeakMb: 12.4,
          cpuMeanPercent: 50,
          bytesSent: 10,
          bytesReceived: 20,
          apiCalls: 3,
          tokensUsed: 7,
        },
      };
    },
  });
  await submit(served, 'one');
  const body = await ended(served, 'one');
  assert.equal(body.task_id, 'one');
  assert.equal(body.agent_id, 'house');
  const { state, paused, phase, outcome, attempt, progress, timestamps } = body.current_status;
  assert.deepEqual([state, paused, outcome, attempt, phase], ['completed', false, 'completed', 1, 'run']);
  assert.equal(progress.percentage, 100);
  assert.equal(progress.estimated_remaining, 0);
  for (const name of ['created', 'queued', 'started', 'last_update', 'completed'])
    assert.match(timestamps[name], /Z$/);
  assert.equal('estimated_completion' in timestamps, false);
  assert.deepEqual(body.execution_details.output, { answer: 42 });
  assert.equal('error_details' in body.execution_details, false);
  assert.deepEqual(body.resource_usage.memory, { current_mb: 0, peak_mb: 12, limit_mb: 256 });
  assert.deepEqual(body.resource_usage.cpu, { current_percentage: 0, average_percentage: 50 });
  assert.deepEqual(body.resource_usage.network, { bytes_sent: 10, bytes_received: 20 });
  const [intermediate] = body.execution_details.intermediate_results;
  assert.equal(intermediate.page, 1);
  assert.match(intermediate.timestamp, /Z$/);
});

test('SAM-58 a percentage of 100 is said of success alone', async t => {
  const reported = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const served = await setup(t, {
    run: async context => {
      context.report({ percentage: 100 });
      reported.resolve();
      await finish.promise;
      return {
        status: 'failed',
        error: { code: 'task_failed', message: 'at the very end', recoverable: false },
      };
    },
  });
  await submit(served, 'late');
  await reported.promise;
  const running = await served.ask('GET', '/api/v2/task-status/late');
  assert.ok(running.body.current_status.progress.percentage <= 99);
  finish.resolve();
  const failed = await ended(served, 'late');
  assert.ok(failed.current_status.progress.percentage <= 99);
});

test('SAM-50 SAM-51 a failed task says what went wrong, of which class, and what to do about it', async t => {
  const served = await setup(t, {
    run: async context => {
      context.log('INFO', 'before the fall');
      return {
        status: 'failed',
        error: { code: 'task_failed', message: 'broken', recoverable: false, details: { line: 3 } },
      };
    },
  });
  const { body: admission } = await submit(served, 'broken');
  const body = await ended(served, 'broken');
  assert.equal(body.current_status.state, 'failed');
  assert.equal(body.current_status.requires_human_intervention, true);
  const { error_details: details } = body.execution_details;
  assert.equal(details.code, 'EXECUTION_ERROR');
  assert.equal(details.class, 'logic');
  assert.equal(details.attempt, 1);
  assert.equal(details.details.task_id, 'broken');
  assert.equal(details.details.execution_id, admission.execution_id);
  assert.equal(details.details.line, 3);
  assert.deepEqual(details.details.suggested_actions, ['review_logs', 'retry_task']);
  assert.deepEqual(Object.keys(details.details.error_context), []);
  const page = await served.ask('GET', new URL(details.documentation_url).pathname);
  assert.equal(page.status, 200);
  const again = await served.ask('GET', '/api/v2/task-status/broken');
  assert.ok(again.body.execution_details.error_details.logs.length <= 100);
});

test('SAM-83 an output is served whole, byte for byte as its checksum says', async t => {
  const output = { b: 1, a: ['ü', null], 10: 'x' };
  const served = await setup(t, { run: async () => ({ status: 'completed', output }) });
  await submit(served, 'one');
  await ended(served, 'one');
  const { status, body, headers } = await served.ask('GET', '/api/v2/task-output/one');
  assert.deepEqual([status, body], [200, output]);
  const again = { headers: { 'if-none-match': headers.get('etag') ?? '' } };
  assert.equal((await served.ask('GET', '/api/v2/task-output/one', again)).status, 304);
  assert.equal((await served.ask('GET', '/api/v2/task-output/none')).body.error.code, 'TASK_NOT_FOUND');
});

test('SAM-55 an unknown task is TASK_NOT_FOUND', async t => {
  const { ask } = await setup(t);
  const { status, body } = await ask('GET', '/api/v2/task-status/none');
  assert.deepEqual([status, body.error.code], [404, 'TASK_NOT_FOUND']);
});

test('SAM-55 an unchanged task answers 304 to its tag, a changed one or another question does not', async t => {
  const served = await setup(t);
  await submit(served, 'one', { execution_config: { not_before: '2100-01-01T00:00:00Z' } });
  const path = '/api/v2/task-status/one';
  const tag = (await served.ask('GET', path)).headers.get('etag') ?? '';
  const headers = { 'if-none-match': `"other", ${tag}` };
  const unchanged = await served.ask('GET', path, { headers });
  assert.equal(unchanged.status, 304);
  assert.equal(unchanged.body, '');
  assert.equal(unchanged.headers.get('etag'), tag);
  assert.equal((await served.ask('GET', `${path}?include_context=true`, { headers })).status, 200);
  await served.ask('POST', '/api/v2/tasks/one/pause', { body: {} });
  assert.equal((await served.ask('GET', path, { headers })).status, 200);
});

test('SAM-56 logs, metrics and context are there when asked for and absent otherwise', async t => {
  const served = await setup(t);
  await submit(served, 'one', { context: { metadata: { a: 1 } } });
  await ended(served, 'one');
  const shown = async (query: string) => {
    const { body } = await served.ask('GET', `/api/v2/task-status/one${query}`);
    return ['logs', 'metrics', 'context'].filter(key => key in body);
  };
  assert.deepEqual(await shown(''), ['metrics']);
  assert.deepEqual(await shown('?include_metrics=false'), []);
  assert.deepEqual(await shown('?include_logs=true&include_context=true'), ['logs', 'metrics', 'context']);
});

test('SAM-56 a log level is a minimum, and since shows only what is newer', async t => {
  const served = await setup(t);
  await submit(served, 'one');
  await ended(served, 'one');
  const [task] = await served.house.store.read([{ tenant: 'default' as never, id: 'one' as never }]);
  if (task == null) throw new Error('the task is gone');
  const { tenant, key } = task;
  const line = { tenant, key, component: 'test', attempt: 1, agentId: null };
  const sample = { tenant, key, attempt: 1, cpuPercent: 1 };
  await served.house.store.record(
    [
      { ...line, at: 1_000, level: 'ERROR', message: 'old' },
      { ...line, at: 2_000, level: 'INFO', message: 'new' },
      { ...line, at: 3_000, level: 'WARN', message: 'newer' },
    ],
    [
      { ...sample, at: 1_000 },
      { ...sample, at: 3_000 },
    ],
  );
  const messages = async (query: string): Promise<string[]> => {
    const { body } = await served.ask('GET', `/api/v2/task-status/one?include_logs=true&${query}`);
    return body.logs
      .map((one: Loose) => one.message)
      .filter((message: string) => ['old', 'new', 'newer'].includes(message));
  };
  assert.deepEqual(await messages('log_level=warn'), ['old', 'newer']);
  assert.deepEqual(await messages('since=1970-01-01T00:00:01Z'), ['new', 'newer']);
  const { body } = await served.ask('GET', '/api/v2/task-status/one?since=1970-01-01T00:00:01Z');
  assert.deepEqual(
    body.metrics.samples.map((one: Loose) => one.timestamp),
    ['1970-01-01T00:00:03.000Z'],
  );
});

test('SAM-57 a paused task shows as queued and paused', async t => {
  const served = await setup(t);
  await submit(served, 'held', { execution_config: { not_before: '2100-01-01T00:00:00Z' } });
  await served.ask('POST', '/api/v2/tasks/held/pause', { body: {} });
  const { body } = await served.ask('GET', '/api/v2/task-status/held');
  const { state, paused, lifecycle_state: precise, waiting } = body.current_status;
  assert.deepEqual([state, paused, precise], ['queued', true, 'paused']);
  assert.equal(waiting.because, 'paused');
});

suite('many tasks', () => {
  test('SAM-60 filters combine, ids nobody has are listed, and pages keep a stable order', async t => {
    const served = await setup(t);
    const info = { timestamp: '2026-01-01T00:00:00Z' };
    await submit(served, 'a', { orchestrator_info: { ...info, agent_id: 'm1', session_id: 's1' } });
    await submit(served, 'b', { orchestrator_info: { ...info, agent_id: 'm1', session_id: 's2' } });
    await submit(served, 'c', { orchestrator_info: { ...info, agent_id: 'm2', session_id: 's1' } });
    for (const id of ['a', 'b', 'c']) await ended(served, id);
    const ids = async (query: string) => {
      const { body } = await served.ask('GET', `/api/v2/task-status?${query}`);
      return body.tasks.map((one: Loose) => one.task_id).sort();
    };
    assert.deepEqual(await ids('agent_id=m1'), ['a', 'b']);
    assert.deepEqual(await ids('session_id=s1'), ['a', 'c']);
    assert.deepEqual(await ids('agent_id=m1&session_id=s1'), ['a']);
    assert.deepEqual(await ids('status=completed'), ['a', 'b', 'c']);
    assert.deepEqual(await ids('status=queued'), []);
    const named = await served.ask('GET', '/api/v2/task-status?task_ids=a,zz,b');
    assert.deepEqual(named.body.tasks.map((one: Loose) => one.task_id).sort(), ['a', 'b']);
    assert.deepEqual(named.body.not_found, ['zz']);
    const first = await served.ask('GET', '/api/v2/task-status?limit=2');
    const rest = await served.ask('GET', '/api/v2/task-status?limit=2&offset=2');
    assert.deepEqual([first.body.total, first.body.limit, rest.body.offset], [3, 2, 2]);
    assert.equal(new Set([...first.body.tasks, ...rest.body.tasks].map((one: Loose) => one.task_id)).size, 3);
    assert.equal('logs' in first.body.tasks[0], false);
  });

  test('SAM-60 SAM-5 at most 1,000 ids, a limit of 1 to 1,000, and known states only', async t => {
    const { ask } = await setup(t);
    const tooMany = Array.from({ length: 1_001 }, (_, index) => `t${index}`).join();
    for (const query of [`task_ids=${tooMany}`, 'limit=0', 'limit=1001', 'offset=-1', 'status=paused'])
      assert.equal((await ask('GET', `/api/v2/task-status?${query}`)).status, 400, query.slice(0, 30));
    const { body } = await ask('GET', '/api/v2/task-status');
    assert.deepEqual([body.limit, body.offset, body.total], [50, 0, 0]);
  });
});

test('SAM-117 each limit says whether it is enforced or advisory; a burst is taken, shown and passed on', async t => {
  const served = await setup(t);
  const limits = { memory_mb: 64, cpu_cores: 2, network_bandwidth_mbps: 5, burst: true };
  await submit(served, 'one', { execution_config: { resource_limits: limits } });
  const { resource_usage: usage } = await ended(served, 'one');
  // The executor of this test holds nobody to anything.
  assert.deepEqual(usage.limits, {
    memory_mb: { limit: 64, mode: 'advisory' },
    cpu_cores: { limit: 2, mode: 'advisory', burst: true },
    disk_mb: { limit: 512, mode: 'advisory' },
    network_bandwidth_mbps: { limit: 5, mode: 'advisory' },
  });
  const refused = await submit(served, 'two', { execution_config: { resource_limits: { burst: 'yes' } } });
  assert.deepEqual([refused.status, refused.body.error.code], [400, 'INVALID_REQUEST']);
});
