import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { JsonObject } from '../domain/json.ts';
import { BatutaClient } from './client.ts';
import { type Clock, systemClock } from './clock.ts';
import { ConflictError, NotFoundError, TaskFailedError, WaitTimeoutError } from './errors.ts';
import { type Answer, type Asked, farEnd, statusOf, wireError } from './far-end.test.ts';
import { Orchestrator, type TaskOrder } from './orchestrator.ts';

async function setup(
  context: TestContext,
  answer: (asked: Asked, earlier: number) => Answer | Promise<Answer>,
) {
  const clock: Clock = {
    ...systemClock,
    after: (ms, callback) => systemClock.after(ms >= 30_000 ? ms : 0, callback),
  };
  const end = await farEnd(context, answer);
  const client = new BatutaClient({ url: end.url, clock });
  return { end, orchestrator: new Orchestrator({ client, agentId: 'planner', userId: 'u1' }) };
}

const running = statusOf('t1', { state: 'running' });
const completed = (id: string): JsonObject =>
  statusOf(id, { state: 'completed', outcome: 'completed' }, { output: { sum: 3 }, artifacts: [] });

function ended(name: string): Answer {
  return {
    headers: { 'content-type': 'text/event-stream' },
    write: response => void response.end(`id: 5\nevent: ${name}\ndata: {}\n\n`),
  };
}

function silent(): Answer {
  return {
    headers: { 'content-type': 'text/event-stream' },
    write: response => void response.write(': here\n\n'),
  };
}

test('SAM-174 an order in few words becomes a whole request, a worker type its type_name', async context => {
  const { end, orchestrator } = await setup(context, () => ({ json: { status: 'queued', task_id: 'o-1' } }));
  await orchestrator.submit({
    type: 'custom:resize',
    id: 'o-1',
    data: { width: 10 },
    priority: 'high',
    timeoutSeconds: 60,
    retriesMax: 2,
    dependsOn: ['o-0'],
    requiredCapabilities: ['gpu'],
    labels: { team: 'art' },
    notBefore: new Date(0),
    orderedAt: new Date(1),
    webhook: { url: 'https://me/hook', secret: 's', events: ['task_completed'] },
  });
  assert.deepEqual(end.asked[0]?.json, {
    task_id: 'o-1',
    task_type: 'custom',
    description: 'custom:resize for planner',
    task_data: { width: 10, type_name: 'resize', required_capabilities: ['gpu'] },
    priority: 'high',
    timeout: 60,
    orchestrator_info: { agent_id: 'planner', user_id: 'u1', timestamp: '1970-01-01T00:00:00.001Z' },
    execution_config: {
      max_retries: 2,
      depends_on: ['o-0'],
      labels: { team: 'art' },
      not_before: '1970-01-01T00:00:00.000Z',
    },
    notification_config: {
      webhook_url: 'https://me/hook',
      webhook_secret: 's',
      notification_events: ['task_completed'],
    },
  });
});

test('SAM-39 many orders go a thousand a call and are answered each in order, the refused among them too', async context => {
  const { end, orchestrator } = await setup(context, asked => ({
    json: {
      results: (asked.json.tasks as readonly { task_id: string }[]).map(({ task_id }) =>
        task_id === 'n-7'
          ? { task_id, http_status: 409, body: wireError(409, 'CONFLICT').json }
          : { task_id, http_status: 200, body: { status: 'queued', task_id } },
      ),
    },
  }));
  const orders: TaskOrder[] = Array.from({ length: 1_001 }, (_, index) => ({
    type: 'code_execution',
    id: `n-${index}`,
    data: {},
  }));
  const outcomes = await orchestrator.submitMany(orders);
  assert.equal(end.asked.length, 2);
  assert.deepEqual(
    outcomes.map(outcome => outcome.taskId),
    orders.map(order => order.id),
  );
  const refused = outcomes.filter(outcome => 'error' in outcome);
  assert.equal(refused.length, 1);
  assert.ok(refused[0]?.taskId === 'n-7' && refused[0].error instanceof ConflictError);
});

test('waiting follows the task by its events and gives its output', async context => {
  let over = false;
  const { end, orchestrator } = await setup(context, asked => {
    if (!asked.path.startsWith('/api/v2/task-events')) return { json: over ? completed('t1') : running };
    over = true;
    return ended('task_completed');
  });
  const result = await orchestrator.wait('t1');
  assert.deepEqual(result.output, { sum: 3 });
  assert.equal(result.executionId, 'exec-t1');
  assert.ok(end.asked.some(asked => asked.path === '/api/v2/task-events/t1'));
  assert.ok(!end.asked.some(asked => asked.path === '/api/v2/task-status'));
});

test('a task that had ended is not waited for', async context => {
  const { end, orchestrator } = await setup(context, () => ({ json: completed('t1') }));
  await orchestrator.wait('t1');
  assert.equal(end.asked.length, 1);
});

test('a task that ends between the first look and the opening of its stream is not missed', async context => {
  let looks = 0;
  const { orchestrator } = await setup(context, asked => {
    if (asked.path.startsWith('/api/v2/task-events')) return silent();
    looks += 1;
    return { json: looks === 1 ? running : completed('t1') };
  });
  assert.deepEqual((await orchestrator.wait('t1')).output, { sum: 3 });
});

test('where streams do not get through, waiting polls, many tasks in one call', async context => {
  let polls = 0;
  const { end, orchestrator } = await setup(context, asked => {
    if (asked.path.startsWith('/api/v2/task-events')) return { status: 406, text: 'no streams here' };
    if (asked.path !== '/api/v2/task-status') return { json: { ...running, task_id: asked.path.slice(20) } };
    polls += 1;
    const ids = asked.query.get('task_ids')?.split(',') ?? [];
    return { json: { tasks: polls < 3 ? [] : ids.map(completed), not_found: [], total: 0 } };
  });
  const results = await Promise.all(['a', 'b', 'c'].map(id => orchestrator.wait(id)));
  assert.deepEqual(
    results.map(result => result.taskId),
    ['a', 'b', 'c'],
  );
  assert.ok(
    end.asked.some(asked => asked.query.get('task_ids')?.split(',').length === 3),
    'the three waits share a poll',
  );
});

test('a wait outlives a server that is away', async context => {
  const { orchestrator } = await setup(context, (asked, earlier) => {
    if (earlier === 0) return { json: running };
    if (earlier < 6) return { drop: true };
    return asked.path === '/api/v2/task-status'
      ? { json: { tasks: [completed('t1')], not_found: [], total: 1 } }
      : { json: completed('t1') };
  });
  assert.deepEqual((await orchestrator.wait('t1')).output, { sum: 3 });
});

test('a task that failed throws its own error', async context => {
  const { orchestrator } = await setup(context, () => ({
    json: statusOf(
      't1',
      { state: 'failed', outcome: 'timeout' },
      { error_details: { code: 'TASK_TIMEOUT', message: 'ran over 60 s', attempt: 2 } },
    ),
  }));
  await assert.rejects(orchestrator.wait('t1'), (error: unknown) => {
    assert.ok(error instanceof TaskFailedError);
    assert.equal(error.outcome, 'timeout');
    assert.equal(error.code, 'TASK_TIMEOUT');
    assert.equal(error.message, 'ran over 60 s');
    assert.equal(error.details.attempt, 2);
    return true;
  });
});

test('a task that is unknown, or vanishes while it is polled for, is not found', async context => {
  const { orchestrator } = await setup(context, asked => {
    if (asked.path === '/api/v2/task-status/gone') return wireError(404, 'TASK_NOT_FOUND');
    if (asked.path === '/api/v2/task-status') return { json: { tasks: [], not_found: ['t1'], total: 0 } };
    return asked.path.startsWith('/api/v2/task-events') ? { status: 406 } : { json: running };
  });
  await assert.rejects(orchestrator.wait('gone'), NotFoundError);
  await assert.rejects(orchestrator.wait('t1'), NotFoundError);
});

test("a wait ends with the caller's patience or signal, whether it streams or polls", async context => {
  let streams = true;
  const { orchestrator } = await setup(context, asked => {
    if (asked.path === '/api/v2/task-status') return { json: { tasks: [], not_found: [], total: 0 } };
    if (!asked.path.startsWith('/api/v2/task-events')) return { json: running };
    return streams ? silent() : { status: 406 };
  });
  const reason = new Error('enough');
  const waitUntil = (signal: AbortSignal) => orchestrator.wait('t1', { signal });
  for (streams of [true, false]) {
    await assert.rejects(orchestrator.wait('t1', { timeoutMs: 30 }), WaitTimeoutError);
    const abort = new AbortController();
    const waiting = waitUntil(abort.signal);
    systemClock.after(20, () => abort.abort(reason));
    await assert.rejects(waiting, reason);
  }
});

test('SAM-66 cancelling says why', async context => {
  const { end, orchestrator } = await setup(context, () => ({ json: { task_id: 't1', state: 'cancelled' } }));
  assert.equal((await orchestrator.cancel('t1', 'no longer needed')).state, 'cancelled');
  assert.equal(end.asked[0]?.path, '/api/v2/tasks/t1/cancel');
  assert.equal(end.asked[0]?.json.reason, 'no longer needed');
});

const accepted = (task: JsonObject): JsonObject => ({ task_id: task.task_id ?? null, status: 'queued' });

test('SAM-39 many callers at once share requests, and each gets its own answer or error', async context => {
  const { end, orchestrator } = await setup(context, ({ json }) => {
    const { tasks } = json as { readonly tasks?: readonly JsonObject[] };
    if (tasks === undefined) return { json: accepted(json as JsonObject) };
    const results = tasks.map(task =>
      task.task_id === 't50'
        ? { task_id: 't50', http_status: 409, body: wireError(409, 'CONFLICT').json ?? {} }
        : { task_id: task.task_id ?? null, http_status: 200, body: accepted(task) },
    );
    return { json: { results } };
  });
  const answers = await Promise.allSettled(
    Array.from({ length: 64 }, (_, at) => orchestrator.submit({ type: 'custom:x', id: `t${at}`, data: {} })),
  );
  answers.forEach((answer, at) => {
    if (at === 50) assert.ok(answer.status === 'rejected' && answer.reason instanceof ConflictError);
    else assert.equal(answer.status === 'fulfilled' && answer.value.task_id, `t${at}`);
  });
  assert.deepEqual(
    end.asked.map(({ path }) => path),
    [...Array(4).fill('/api/v2/execute-task'), '/api/v2/execute-task/batch'],
  );
});

test('SAM-39 callers whose tasks are too large together go alone', async context => {
  const { end, orchestrator } = await setup(context, ({ path, json }) =>
    path.endsWith('/batch') ? wireError(413, 'PAYLOAD_TOO_LARGE') : { json: accepted(json as JsonObject) },
  );
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, at) => orchestrator.submit({ type: 'custom:x', id: `t${at}`, data: {} })),
  );
  assert.deepEqual(
    answers.map(answer => answer.task_id),
    Array.from({ length: 8 }, (_, at) => `t${at}`),
  );
  assert.equal(end.asked.length, 9);
});
