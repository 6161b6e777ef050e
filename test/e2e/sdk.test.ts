import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, suite, type TestContext, test } from 'node:test';
import {
  BatutaClient,
  ConflictError,
  ForbiddenError,
  Orchestrator,
  RecoverableError,
  RejectedError,
  type TaskAborted,
  TaskFailedError,
  type TaskHandler,
  ValidationError,
  type WebhookBody,
  Worker,
} from '../../src/sdk/index.ts';
import { running } from './running.ts';

const house = await running();
after(() => house.stop());
const { api_key: apiKey, api_secret: apiSecret } = house.server.credentials;
const client = new BatutaClient({ url: house.url, credentials: { apiKey, apiSecret } });
const orchestrator = new Orchestrator({ client, agentId: 'sdk', sessionId: 'session-1' });

async function works(
  t: TestContext,
  handlers: Readonly<Record<string, TaskHandler<never>>>,
  more: object = {},
): Promise<Worker> {
  const agentId = `worker-${Object.keys(handlers)[0]}`;
  const worker = new Worker({ client, agentId, handlers, waitSeconds: 5, ...more });
  await worker.start();
  t.after(() => worker.stop({ graceMs: 0, handInMs: 500 }));
  return worker;
}

suite('orchestrator and worker', () => {
  test('a task handed in by the SDK is run by the SDK, and its output is what the handler answered', async t => {
    const add: TaskHandler<{ readonly a: number; readonly b: number }> = ({ data }, context) => {
      context.progress(50, { currentStep: 'adding' });
      context.meter({ api_calls: 2 });
      return { sum: data.a + data.b };
    };
    await works(t, { add });
    const { output } = await orchestrator.run({ type: 'custom:add', data: { a: 2, b: 3 } });
    assert.deepEqual(output, { sum: 5 });
    const { tasks } = await client.statuses({ session_id: 'session-1' });
    assert.ok(tasks.every(task => task.current_status.outcome === 'completed'));
  });

  test('five hundred tasks at once all come back, each with its own output', async t => {
    const double: TaskHandler<{ readonly n: number }> = ({ data }) => data.n * 2;
    await works(t, { double }, { slots: 100 });
    const numbers = Array.from({ length: 500 }, (_, n) => n);
    const outcomes = await orchestrator.submitMany(
      numbers.map(n => ({ type: 'custom:double', data: { n } })),
    );
    const outputs = await Promise.all(outcomes.map(({ taskId }) => orchestrator.wait(taskId)));
    assert.deepEqual(
      outputs.map(({ output }) => output),
      numbers.map(n => n * 2),
    );
  });

  test('SAM-67 a cancellation reaches the running handler’s signal, and whoever waits hears of it', async t => {
    const running = Promise.withResolvers<void>();
    const stopped = Promise.withResolvers<TaskAborted>();
    const endless: TaskHandler = (_task, { signal }) =>
      new Promise<null>((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          stopped.resolve(signal.reason);
          reject(signal.reason);
        });
        running.resolve();
      });
    await works(t, { endless });
    const { task_id: id } = await orchestrator.submit({ type: 'custom:endless', data: {} });
    await running.promise;
    const waiting = orchestrator.wait(id);
    await orchestrator.cancel(id, 'no longer wanted');
    assert.equal((await stopped.promise).why, 'cancelled');
    await assert.rejects(waiting, error => error instanceof TaskFailedError && error.outcome === 'cancelled');
  });

  test('SAM-127 a handler that fails recoverably is tried again from its checkpoint, one that fails otherwise is not', async t => {
    const attempts: unknown[] = [];
    await works(t, {
      flaky: (({ attempt }, context) => {
        attempts.push(context.saved);
        if (attempt > 1) return 'done';
        context.checkpoint({ reached: 7 });
        throw new RecoverableError('try me again', { code: 'DEPENDENCY_FAILURE' });
      }) satisfies TaskHandler,
      broken: (() => {
        throw new Error('wrong for good');
      }) satisfies TaskHandler,
    });
    const more = { execution_config: { retry_delay: 0 } };
    const { output } = await orchestrator.run({ type: 'custom:flaky', data: {}, more });
    assert.deepEqual([output, attempts], ['done', [null, { reached: 7 }]]);
    const failing = orchestrator.run({ type: 'custom:broken', data: {} });
    await assert.rejects(failing, (error: unknown) => {
      assert.ok(error instanceof TaskFailedError);
      assert.deepEqual(
        [error.code, error.message, error.outcome],
        ['EXECUTION_ERROR', 'wrong for good', 'failed'],
      );
      return true;
    });
  });

  test('SAM-71 SAM-34 a handler leaves files and reads secrets, and both are where they belong', async t => {
    await client.secrets.set('sdk-token', 'open sesame 4711');
    const secret: string[] = [];
    await works(t, {
      files: (async (_task, context) => {
        secret.push(context.secrets['sdk-token'] ?? 'none');
        await context.upload({ name: 'poem.txt', source: 'roses are red', mediaType: 'text/plain' });
      }) satisfies TaskHandler,
    });
    const more = { execution_config: { environment: { secrets: ['sdk-token'] } } };
    const { taskId, artifacts } = await orchestrator.run({ type: 'custom:files', data: {}, more });
    assert.deepEqual(secret, ['open sesame 4711']);
    const [file] = await client.artifacts.list(taskId);
    assert.equal(file?.name, 'poem.txt');
    assert.equal(artifacts[0]?.artifact_id, file?.artifact_id);
    const download = await client.artifacts.download(file?.artifact_id ?? '');
    assert.equal(new TextDecoder().decode(await download.bytes()), 'roses are red');
    assert.ok((await client.secrets.list()).includes('sdk-token'));
  });

  test('SAM-175 a worker’s schemas judge its input at submission and its output at the end', async t => {
    const number = { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] };
    const strict: TaskHandler = () => ({ n: 'no number' });
    await works(t, { strict }, { schemas: { strict: { input: number, output: number } } });
    const bad = orchestrator.submit({ type: 'custom:strict', data: { n: 'x' } });
    await assert.rejects(bad, error => error instanceof ValidationError && error.fields.length > 0);
    const run = orchestrator.run({ type: 'custom:strict', data: { n: 1 }, retriesMax: 0 });
    await assert.rejects(run, error => error instanceof TaskFailedError && error.code === 'EXECUTION_ERROR');
  });
});

suite('webhooks and errors', () => {
  test('SAM-77 SAM-87 the SDK’s receiver believes the server’s webhooks, and hears of each once', async t => {
    const heard: WebhookBody[] = [];
    const done = Promise.withResolvers<void>();
    const receive = orchestrator.webhooks('a secret of ours', {
      task_completed: body => {
        heard.push(body);
        done.resolve();
      },
    });
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      const headers = Object.entries(request.headers).map(([name, value]): [string, string] => [
        name,
        String(value),
      ]);
      const received = new Request('http://receiver.test/', {
        method: 'POST',
        headers,
        body: Buffer.concat(chunks),
      });
      const answer = await receive(received);
      response.writeHead(answer.status).end(await answer.text());
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    await works(t, { told: (() => 42) satisfies TaskHandler });
    const webhook = { url: `http://127.0.0.1:${port}/`, secret: 'a secret of ours' };
    const { task_id: id } = await orchestrator.submit({ type: 'custom:told', data: {}, webhook });
    await done.promise;
    assert.deepEqual(
      heard.map(body => [body.task_id, body.result?.output]),
      [[id, 42]],
    );
  });

  test('SAM-48 what the server refuses arrives as an error of its own class, with its fields', async t => {
    await works(t, { refused: (() => null) satisfies TaskHandler });
    const order = { type: 'custom:refused', id: 'refused', data: {}, orderedAt: new Date(0) } as const;
    await orchestrator.submit(order);
    assert.equal((await orchestrator.submit(order)).task_id, 'refused');
    await assert.rejects(orchestrator.submit({ ...order, data: { x: 1 } }), ConflictError);
    await assert.rejects(orchestrator.submit({ type: 'custom:nobody', data: {} }), RejectedError);
    await assert.rejects(orchestrator.submit({ ...order, id: 'not an id' }), (error: unknown) => {
      assert.ok(error instanceof ValidationError);
      assert.deepEqual(
        error.fields.map(({ field }) => field),
        ['task_id'],
      );
      return true;
    });
    const { api_key, api_secret } = await client.apiKeys.create({ name: 'r', permissions: ['task:read'] });
    const credentials = { hmac: { keyId: api_key, secret: api_secret } };
    const reader = new BatutaClient({ url: house.url, credentials });
    assert.equal((await reader.status('refused')).task_id, 'refused');
    await assert.rejects(reader.cancel('refused'), ForbiddenError);
  });
});
