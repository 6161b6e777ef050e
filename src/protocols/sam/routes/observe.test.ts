import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { until } from '../../../../test/harness.ts';
import { type Loose, type Served, type ServeOptions, serve, taskBody } from '../../../../test/serve.ts';
import type { TaskKey, TenantId } from '../../../domain/ids.ts';

const setup = async (t: { after(fn: () => Promise<void>): void }, options: ServeOptions = {}) => {
  const served = await serve(options);
  t.after(() => served.stop());
  return served;
};

/** A task that does not start, with a log and samples of our own. */
async function observed(served: Served): Promise<{ tenant: TenantId; key: TaskKey }> {
  const later = { execution_config: { not_before: '2100-01-01T00:00:00Z' } };
  await served.ask('POST', '/api/v2/execute-task', { body: taskBody('one', later) });
  const { store } = served.house;
  const [task] = await store.read([{ tenant: 'default' as never, id: 'one' as never }]);
  if (task == null) throw new Error('the task is gone');
  const { tenant, key } = task;
  const line = { tenant, key, component: 'worker', agentId: 'w' };
  await store.record(
    [
      { ...line, at: 1_000, attempt: 1, level: 'DEBUG', message: 'alpha' },
      { ...line, at: 2_000, attempt: 1, level: 'ERROR', message: 'BETA', metadata: { duration: 1.5 } },
      { ...line, at: 3_000, attempt: 2, level: 'INFO', message: 'gamma' },
    ],
    [
      { tenant, key, attempt: 1, at: 1_000, cpuPercent: 10, memoryMb: 5, bytesSent: 100 },
      { tenant, key, attempt: 1, at: 1_400, cpuPercent: 30, memoryMb: 7, bytesSent: 200 },
      { tenant, key, attempt: 2, at: 3_000, cpuPercent: 20, memoryMb: 6, bytesSent: 50 },
    ],
  );
  return { tenant, key };
}

const messages = (body: Loose) =>
  body.logs.filter((line: Loose) => line.component !== 'engine').map((line: Loose) => line.message);

suite('logs', () => {
  test('SAM-61 a record says when, how bad, which part, which attempt of what, and where it belongs', async t => {
    const served = await setup(t);
    await observed(served);
    const { body } = await served.ask('GET', '/api/v2/task-logs/one?level=error');
    const { trace_id: traceId, execution_id: executionId, ...record } = body.logs[0];
    assert.match(traceId, /^[0-9a-f]{32}$/);
    assert.equal(executionId, body.execution_id);
    assert.deepEqual(record, {
      timestamp: '1970-01-01T00:00:02.000Z',
      level: 'ERROR',
      component: 'worker',
      task_id: 'one',
      agent_id: 'w',
      attempt: 1,
      message: 'BETA',
      duration: 1.5,
      metadata: { duration: 1.5 },
    });
  });

  test('SAM-64 logs filter by level, time, attempt and text, and page by cursor', async t => {
    const served = await setup(t);
    await observed(served);
    const shown = async (query: string) =>
      messages((await served.ask('GET', `/api/v2/task-logs/one?${query}`)).body);
    assert.deepEqual(await shown('level=INFO'), ['BETA', 'gamma']);
    assert.deepEqual(await shown('since=1970-01-01T00:00:02Z'), ['BETA', 'gamma']);
    assert.deepEqual(await shown('until=1970-01-01T00:00:02Z'), ['alpha']);
    assert.deepEqual(await shown('attempt=2'), ['gamma']);
    assert.deepEqual(await shown('q=beta'), ['BETA']);
    const first = (await served.ask('GET', '/api/v2/task-logs/one?limit=2')).body;
    assert.deepEqual(messages(first), ['alpha', 'BETA']);
    const seen = first.logs.map((line: Loose) => line.message);
    for (let cursor = first.next_cursor; cursor !== null; ) {
      const page = (await served.ask('GET', `/api/v2/task-logs/one?limit=2&cursor=${cursor}`)).body;
      seen.push(...page.logs.map((line: Loose) => line.message));
      cursor = page.next_cursor;
    }
    const whole = (await served.ask('GET', '/api/v2/task-logs/one?limit=1000')).body.logs;
    assert.deepEqual(
      seen,
      whole.map((line: Loose) => line.message),
    );
    assert.equal((await served.ask('GET', '/api/v2/task-logs/one?level=loud')).status, 400);
  });

  test('SAM-62 the log tells every change of state among the lines, with who made it and why', async t => {
    const served = await setup(t);
    await observed(served);
    await served.ask('POST', '/api/v2/tasks/one/cancel', { body: { reason: 'enough of it' } });
    const { body } = await served.ask('GET', '/api/v2/task-logs/one?level=info');
    const told = body.logs
      .filter((line: Loose) => line.component === 'engine')
      .map((line: Loose) => line.message);
    assert.equal(told[0], 'new -> submitted by jwt:admin');
    assert.match(told.at(-1), /-> cancelled by .*: enough of it$/);
  });

  test('SAM-64 SAM-65 what a task said last is told before its end, to followers, streams and late readers', async t => {
    const served = await setup(t, {
      run: async context => {
        context.log('INFO', 'the last word');
        return { status: 'completed', output: 1 };
      },
    });
    const said = async (id: string, path: string): Promise<string> => {
      await served.ask('POST', '/api/v2/execute-task', { body: taskBody(id) });
      const headers = { authorization: 'Bearer admin' };
      return (await fetch(`${served.url}${path}`, { headers })).text();
    };
    assert.match(await said('a', '/api/v2/task-logs/a?follow=true'), /the last word/);
    assert.match(await said('b', '/api/v2/task-events/b'), /the last word.*event: end/s);
    await until(served.house, 'a', task => task.outcome !== null);
    await served.ask('POST', '/api/v2/execute-task', { body: taskBody('c') });
    await until(served.house, 'c', task => task.outcome !== null);
    const { body } = await served.ask('GET', '/api/v2/task-logs/c');
    assert.deepEqual(messages(body), ['the last word']);
  });

  test('SAM-64 a followed log is NDJSON that goes on until the task ends', async t => {
    const served = await setup(t);
    const { tenant, key } = await observed(served);
    const response = await fetch(`${served.url}/api/v2/task-logs/one?follow=true`, {
      headers: { authorization: 'Bearer admin' },
    });
    assert.match(response.headers.get('content-type') ?? '', /^application\/x-ndjson/);
    await served.house.store.record(
      [
        {
          tenant,
          key,
          at: 4_000,
          attempt: 2,
          level: 'INFO',
          component: 'worker',
          agentId: null,
          message: 'delta',
        },
      ],
      [],
    );
    await served.ask('POST', '/api/v2/tasks/one/cancel', { body: {} });
    const records = (await response.text())
      .trim()
      .split('\n')
      .map(line => JSON.parse(line));
    const told = records
      .map(one => one.message)
      .filter(message => ['alpha', 'BETA', 'gamma', 'delta'].includes(message));
    assert.deepEqual(told, ['alpha', 'BETA', 'gamma', 'delta']);
  });
});

suite('metrics', () => {
  test('SAM-64 samples come per attempt, totals over all, and a resolution thins them', async t => {
    const served = await setup(t);
    await observed(served);
    const { body } = await served.ask('GET', '/api/v2/task-metrics/one');
    assert.deepEqual(
      body.attempts.map((one: Loose) => [one.attempt, one.samples.length]),
      [
        [1, 2],
        [2, 1],
      ],
    );
    assert.equal(body.totals.memory_used, 7);
    assert.equal(body.totals.cpu_usage, 20);
    assert.equal(body.totals.data_transferred, 0);
    const thin = (await served.ask('GET', '/api/v2/task-metrics/one?resolution=1')).body;
    assert.deepEqual(thin.attempts[0].samples, [
      {
        timestamp: '1970-01-01T00:00:01.400Z',
        attempt: 1,
        cpu_percentage: 20,
        memory_mb: 6,
        bytes_sent: 200,
      },
    ]);
    const fresh = (await served.ask('GET', '/api/v2/task-metrics/one?since=1970-01-01T00:00:02Z')).body;
    assert.deepEqual(
      fresh.attempts.map((one: Loose) => one.attempt),
      [2],
    );
  });
});

interface Sse {
  readonly id: string;
  readonly event: string;
  readonly data: Loose;
}

function parsed(text: string): Sse[] {
  return text
    .split('\n\n')
    .filter(block => block.includes('event: '))
    .map(block => {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? '';
      return { id: field('id'), event: field('event'), data: JSON.parse(field('data')) };
    });
}

async function stream({ url }: Served, path: string, lastEventId?: string): Promise<Response> {
  const resume = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
  return fetch(`${url}/api/v2/task-events${path}`, { headers: { authorization: 'Bearer admin', ...resume } });
}

suite('events', () => {
  test('SAM-65 a task’s stream tells every change of state, the notifications among them, its log, and its end', async t => {
    const served = await setup(t, {
      run: async context => {
        context.log('INFO', 'working');
        context.report({ percentage: 50 });
        return { status: 'completed', output: {} };
      },
    });
    await served.ask('POST', '/api/v2/execute-task', { body: taskBody('one') });
    const events = parsed(await (await stream(served, '/one')).text());
    const states = events.filter(one => one.event === 'state_changed').map(one => one.data.to);
    assert.deepEqual(states.slice(0, 7), [
      'submitted',
      'validated',
      'queued',
      'allocated',
      'running',
      'completing',
      'completed',
    ]);
    const names = new Set(events.map(one => one.event));
    for (const name of ['task_started', 'task_progress', 'task_completed', 'end'])
      assert.ok(names.has(name), name);
    assert.equal(events.at(-1)?.event, 'end');
    assert.equal(events.at(-1)?.data.outcome, 'completed');
    assert.equal(new Set(events.map(one => one.id)).size, events.length);
  });

  test('SAM-65 a stream resumes after any event without gap or repeat, and one read to its end is not begun again', async t => {
    const served = await setup(t);
    await served.ask('POST', '/api/v2/execute-task', { body: taskBody('one') });
    const all = parsed(await (await stream(served, '/one')).text());
    for (const [index, { id }] of all.slice(0, -1).entries()) {
      const rest = parsed(await (await stream(served, '/one', id)).text());
      assert.deepEqual(
        rest.map(one => one.id),
        all.slice(index + 1).map(one => one.id),
        `after ${id}`,
      );
    }
    assert.equal((await stream(served, '/one', 'end')).status, 204);
    assert.equal((await stream(served, '/one', 'nonsense')).status, 400);
  });

  test('SAM-65 a log line is an event of the stream, and resuming does not repeat it', async t => {
    const served = await setup(t);
    await observed(served);
    await served.ask('POST', '/api/v2/tasks/one/cancel', { body: {} });
    const all = parsed(await (await stream(served, '/one')).text());
    const lines = all.filter(one => one.event === 'log' && one.data.component === 'worker');
    assert.deepEqual(
      lines.map(one => one.data.message),
      ['alpha', 'BETA', 'gamma'],
    );
    const rest = parsed(await (await stream(served, '/one', lines[1]?.id)).text());
    const again = rest.filter(one => one.event === 'log' && one.data.component === 'worker');
    assert.deepEqual(
      again.map(one => one.data.message),
      ['gamma'],
    );
  });

  test('SAM-65 the tenant’s stream tells of all its tasks, as it happens, and resumes', async t => {
    const served = await setup(t);
    await served.ask('POST', '/api/v2/execute-task', { body: taskBody('before') });
    const live = await stream(served, '');
    await served.ask('POST', '/api/v2/execute-task', { body: taskBody('after') });
    const seen = await readUntil(live, events =>
      events.some(one => one.event === 'task_completed' && one.data.task_id === 'after'),
    );
    assert.ok(seen.every(one => one.data.task_id === 'after' || one.data.task_id === 'before'));
    const mine = seen.filter(one => one.data.task_id === 'after');
    assert.deepEqual(
      mine
        .filter(one => one.event === 'state_changed')
        .map(one => one.data.to)
        .slice(0, 3),
      ['submitted', 'validated', 'queued'],
    );
    const middle = mine[2]?.id ?? '';
    const resumed = await readUntil(await stream(served, '', middle), events =>
      events.some(one => one.event === 'task_completed' && one.data.task_id === 'after'),
    );
    assert.deepEqual(
      resumed.filter(one => one.data.task_id === 'after').map(one => one.id),
      mine.slice(3).map(one => one.id),
    );
  });
});

async function readUntil(
  response: Response,
  enough: (events: readonly Sse[]) => boolean,
): Promise<readonly Sse[]> {
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString();
    const whole = text.slice(0, text.lastIndexOf('\n\n') + 2);
    if (enough(parsed(whole))) return parsed(whole);
  }
  throw new Error('the stream ended first');
}
