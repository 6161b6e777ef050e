import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Json, JsonObject } from '../domain/json.ts';
import { TaskAborted, type TaskContext, type TaskHandler } from './attempt.ts';
import { BatutaClient } from './client.ts';
import { type Clock, systemClock } from './clock.ts';
import { RecoverableError, UnauthorizedError } from './errors.ts';
import { type Answer, type Asked, farEnd, wireError } from './far-end.test.ts';
import type { WorkRequest, WorkResult } from './wire.ts';
import { Worker, type WorkerOptions } from './worker.ts';

/** A server's side of the exchange: a queue, leases with rising tokens, results recorded once. */
class WorkServer {
  readonly requests: WorkRequest[] = [];
  readonly results = new Map<string, WorkResult>();
  readonly holders = new Map<string, number>();
  readonly uploads: Asked[] = [];
  /** Answers in place of the server while it is set. */
  trouble: ((request: WorkRequest) => Answer | null) | null = null;
  leaseMs = 30_000;
  polls = 0;
  /** Answers the worker has taken in. */
  heardBack = 0;
  askedAtOnceMax = 0;
  #asked = 0;
  #tokens = 0;
  #queue: JsonObject[] = [];
  #orders: JsonObject[] = [];
  #changed = Promise.withResolvers<void>();

  submit(id: string, data: JsonObject = {}, more: JsonObject = {}): void {
    this.#queue.push({
      task_id: id,
      task_type: 'custom',
      description: 'work',
      task_data: { type_name: 'job', ...data },
      ...more,
    });
    this.wake();
  }

  cancel(id: string): void {
    this.#orders.push({ task_id: id, fencing_token: this.holders.get(id) ?? 0, reason: 'by request' });
    this.holders.delete(id);
    this.wake();
  }

  /** Gives the task away, as after an expired lease. */
  takeAway(id: string): void {
    this.holders.delete(id);
  }

  wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Resolves when the condition holds; looked at after every exchange. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.#changed.promise;
  }

  async answer(asked: Asked): Promise<Answer> {
    if (asked.path === '/api/v2/artifacts') {
      this.uploads.push(asked);
      return { json: { artifact_id: `art-${this.uploads.length}`, name: asked.query.get('name') } };
    }
    if (asked.path === '/api/v2/agents') return { json: {} };
    const request = asked.json as unknown as WorkRequest;
    this.requests.push(request);
    this.#asked += request.slots;
    try {
      return this.trouble?.(request) ?? (await this.#exchange(request, asked.gone));
    } finally {
      this.#asked -= request.slots;
      setImmediate(() => this.wake());
    }
  }

  async #exchange(request: WorkRequest, gone: AbortSignal): Promise<Answer> {
    const rejected: JsonObject[] = [];
    const extensions: JsonObject[] = [];
    const lease_expires_at = new Date(Date.now() + this.leaseMs).toISOString();
    const held = ({ task_id, fencing_token }: { task_id: string; fencing_token: number }, item: string) => {
      if (this.holders.get(task_id) === fencing_token) return true;
      rejected.push({ task_id, fencing_token, item, error: { code: 'LEASE_LOST', message: 'stale' } });
      return false;
    };
    for (const progress of request.progress ?? []) held(progress, 'progress');
    for (const result of request.results ?? [])
      if (held(result, 'result')) {
        this.results.set(result.task_id, result);
        this.holders.delete(result.task_id);
      }
    for (const beat of request.heartbeats ?? [])
      if (held(beat, 'heartbeat')) extensions.push({ ...beat, lease_expires_at });
    this.askedAtOnceMax = Math.max(this.askedAtOnceMax, this.#asked + this.holders.size);
    if (request.wait_seconds > 0) {
      this.polls += 1;
      setImmediate(() => this.wake());
      while ((this.#queue.length === 0 || request.slots === 0) && this.#orders.length === 0 && !gone.aborted)
        await Promise.race([
          this.#changed.promise,
          new Promise(resolve => gone.addEventListener('abort', resolve)),
        ]);
      this.polls -= 1;
    }
    const leases = gone.aborted
      ? []
      : this.#queue.splice(0, request.slots).map(task => this.#lease(task, lease_expires_at));
    return { json: { leases, cancellations: this.#orders.splice(0), extensions, rejected } };
  }

  #lease(task: JsonObject, lease_expires_at: string): JsonObject {
    this.#tokens += 1;
    this.holders.set(String(task.task_id), this.#tokens);
    return {
      task,
      execution_id: `exec-${task.task_id}`,
      attempt: 1,
      checkpoint: (task.checkpoint as Json | undefined) ?? null,
      secrets: { key: 'value' },
      fencing_token: this.#tokens,
      lease_expires_at,
    };
  }
}

/** A clock that stands until it is moved; backoffs and gathering, below `quickMs`, pass at once. */
function standing(quickMs: number): { readonly clock: Clock; advance(ms: number): void } {
  let now = 1_000;
  const timers = new Set<{ readonly at: number; readonly callback: () => void }>();
  return {
    clock: {
      now: systemClock.now,
      monotonic: () => now,
      after(ms, callback) {
        if (ms < quickMs) return systemClock.after(0, callback);
        const timer = { at: now + ms, callback };
        timers.add(timer);
        return () => void timers.delete(timer);
      },
    },
    advance(ms) {
      now += ms;
      for (const timer of [...timers].sort((a, b) => a.at - b.at))
        if (timer.at <= now && timers.delete(timer)) timer.callback();
    },
  };
}

async function setup(
  context: TestContext,
  job: TaskHandler<never>,
  options: Partial<WorkerOptions> & { readonly clock?: Clock } = {},
) {
  const server = new WorkServer();
  const end = await farEnd(context, asked => server.answer(asked));
  const { clock = systemClock, ...rest } = options;
  const client = new BatutaClient({
    url: end.url,
    clock,
    retry: { attemptsMax: 1 },
    async fetch(url, init) {
      const response = await fetch(url, init);
      const text = await response.text();
      setImmediate(() => {
        server.heardBack += 1;
        server.wake();
      });
      return new Response(text, response);
    },
  });
  const worker = new Worker({ client, agentId: 'w1', handlers: { job }, ...rest });
  context.after(() => worker.stop({ graceMs: 0, handInMs: 0 }));
  return { server, worker, end };
}

/** Resolves with the reason the attempt was aborted for. */
function aborted({ signal }: TaskContext): Promise<TaskAborted> {
  return new Promise(resolve => {
    signal.addEventListener('abort', () => resolve(signal.reason as TaskAborted), { once: true });
  });
}

test('SAM-131 SAM-132 a worker runs the task it is leased and hands its output in under the fencing token', async context => {
  const { server, worker } = await setup(context, (task: { data: JsonObject }, { secrets }) => ({
    doubled: Number(task.data.n) * 2,
    secret: secrets.key ?? null,
  }));
  await worker.start();
  server.submit('t1', { n: 21 });
  await server.until(() => server.results.has('t1'));
  assert.deepEqual(server.results.get('t1'), {
    task_id: 't1',
    fencing_token: 1,
    status: 'completed',
    output: { doubled: 42, secret: 'value' },
    artifacts: [],
    metrics: {},
  });
  assert.deepEqual(server.requests[0]?.types, ['custom:job']);
});

test('a result never waits behind a poll for more work', async context => {
  const gate = Promise.withResolvers<void>();
  const { server, worker } = await setup(context, async () => gate.promise, { slots: 2 });
  await worker.start();
  server.submit('t1');
  await server.until(() => server.holders.has('t1') && server.polls === 1);
  gate.resolve();
  await server.until(() => server.results.has('t1'));
  assert.equal(server.polls, 1, 'the poll that was under way still is');
});

test('SAM-132 a busy worker fuses results with claims: few exchanges, each task once, never more than its slots', async context => {
  const ran: string[] = [];
  const { server, worker } = await setup(
    context,
    async (task: { id: string }) => {
      ran.push(task.id);
      if (ran.length % 7 === 0) await new Promise(resolve => setImmediate(resolve));
    },
    { slots: 100, claimMax: 50 },
  );
  for (let n = 0; n < 2_000; n += 1) server.submit(`t${n}`);
  await worker.start();
  await server.until(() => server.results.size === 2_000);
  assert.equal(new Set(ran).size, 2_000);
  assert.equal(ran.length, 2_000);
  assert.ok(server.requests.length <= 130, `${server.requests.length} exchanges for 2,000 tasks`);
  assert.ok(server.askedAtOnceMax <= 100, `asked for ${server.askedAtOnceMax} at once`);
});

test('SAM-134 a lease is renewed at a third of its time, and again', async context => {
  const { clock, advance } = standing(2_000);
  const { server, worker } = await setup(context, async (_, signals) => void (await aborted(signals)), {
    clock,
  });
  server.submit('t1');
  await worker.start();
  for (let beats = 1; beats <= 3; beats += 1) {
    advance(7_000);
    assert.equal(beatsOf(server).length, beats - 1, 'no renewal before a third');
    advance(5_000);
    await server.until(() => beatsOf(server).length === beats);
    await server.until(() => server.heardBack + server.polls === server.requests.length);
  }
  assert.deepEqual(beatsOf(server)[0], [{ task_id: 't1', fencing_token: 1 }]);
});

function beatsOf(server: WorkServer): WorkRequest['heartbeats'][] {
  return server.requests.map(request => request.heartbeats).filter(beats => (beats?.length ?? 0) > 0);
}

test('SAM-67 a cancelled task is told so, though every slot is taken, and its result is not sent', async context => {
  const told = Promise.withResolvers<TaskAborted>();
  const { server, worker } = await setup(
    context,
    async (task: { id: string }, signals) => {
      if (task.id !== 't1') return 'other';
      told.resolve(await aborted(signals));
      return 'too late';
    },
    { slots: 1 },
  );
  await worker.start();
  server.submit('t1');
  await server.until(() => server.holders.has('t1') && server.polls === 1);
  server.cancel('t1');
  const reason = await told.promise;
  assert.ok(reason instanceof TaskAborted);
  assert.deepEqual([reason.why, reason.message], ['cancelled', 'by request']);
  server.submit('t2');
  await server.until(() => server.results.has('t2'));
  assert.deepEqual([...server.results.keys()], ['t2']);
});

test('SAM-133 a worker that lost its lease stops the task and says nothing of it', async context => {
  const told = Promise.withResolvers<TaskAborted>();
  const { clock, advance } = standing(2_000);
  const { server, worker } = await setup(
    context,
    async (_, signals) => {
      told.resolve(await aborted(signals));
      signals.progress(99);
      return 'too late';
    },
    { clock },
  );
  server.submit('t1');
  await worker.start();
  server.takeAway('t1');
  advance(12_000);
  assert.equal((await told.promise).why, 'lease_lost');
  server.submit('t2');
  await server.until(() => server.holders.has('t2'));
  assert.ok(!server.requests.some(({ results = [], progress = [] }) => results.length + progress.length > 0));
});

test('a task whose lease cannot be renewed is stopped before another worker may have it', async context => {
  const told = Promise.withResolvers<TaskAborted>();
  const { clock, advance } = standing(2_000);
  const { server, worker } = await setup(
    context,
    async (_, signals) => void told.resolve(await aborted(signals)),
    { clock },
  );
  server.submit('t1');
  await worker.start();
  server.trouble = () => ({ drop: true });
  for (let seconds = 0; seconds < 30; seconds += 3) advance(3_000);
  assert.equal((await told.promise).why, 'lease_lost');
});

test('SAM-241 results outlive a server that is away, and stale ones are dropped without a word', async context => {
  const gate = Promise.withResolvers<void>();
  const errors: unknown[] = [];
  const { clock } = standing(12_000);
  const { server, worker } = await setup(context, async () => gate.promise, {
    clock,
    onError: error => errors.push(error),
  });
  server.submit('t1');
  server.submit('t2');
  await worker.start();
  server.trouble = () => ({ drop: true });
  gate.resolve();
  await server.until(() => server.requests.filter(({ results = [] }) => results.length === 2).length >= 3);
  server.takeAway('t2');
  server.trouble = null;
  await server.until(() => server.results.has('t1'));
  server.submit('t3');
  await server.until(() => server.results.has('t3'));
  assert.ok(!server.results.has('t2'));
  assert.ok(errors.length >= 3);
  const last = server.requests.at(-1);
  assert.ok(!last?.results?.some(result => result.task_id === 't2'), 'the stale result is not said again');
});

test('a handler’s errors end the task unless they are recoverable', async context => {
  const { server, worker } = await setup(context, (task: { id: string }) => {
    if (task.id === 'later')
      throw new RecoverableError('host busy', { code: 'DEPENDENCY_FAILURE', details: { host: 'x' } });
    throw new TypeError('no such column');
  });
  await worker.start();
  for (const id of ['later', 'never']) server.submit(id);
  server.submit('strange', { type_name: 'unheard of' });
  await server.until(() => server.results.size === 3);
  assert.deepEqual(server.results.get('later')?.error, {
    code: 'DEPENDENCY_FAILURE',
    message: 'host busy',
    recoverable: true,
    details: { host: 'x' },
  });
  assert.deepEqual(server.results.get('never')?.error, {
    code: 'EXECUTION_ERROR',
    message: 'no such column',
    recoverable: false,
  });
  assert.equal(server.results.get('strange')?.error?.recoverable, false);
});

test('an output that JSON cannot carry fails its task and no other', async context => {
  const { server, worker } = await setup(context, (task: { id: string }) =>
    task.id === 'bad' ? ({ big: 10n } as unknown as Json) : 'fine',
  );
  await worker.start();
  for (const id of ['bad', 'good']) server.submit(id);
  await server.until(() => server.results.size === 2);
  assert.equal(server.results.get('bad')?.status, 'failed');
  assert.equal(server.results.get('good')?.output, 'fine');
});

test('SAM-125 progress, logs and checkpoints reach the server before the result, intermediate results without loss', async context => {
  const { server, worker } = await setup(context, (_, signals) => {
    signals.progress(10, { currentStep: 'one', totalSteps: 2 });
    signals.progress(60);
    signals.checkpoint({ row: 5 });
    signals.intermediate({ part: 1 });
    signals.intermediate({ part: 2 });
    signals.log('WARN', 'slow disk', { ms: 900 });
    signals.meter({ api_calls: 2 });
    signals.meter({ api_calls: 1, tokens_used: 7 });
    return signals.saved;
  });
  server.submit('t1', {}, { checkpoint: { row: 4 } });
  await worker.start();
  await server.until(() => server.results.has('t1'));
  const told = server.requests.filter(({ progress = [], logs = [] }) => progress.length + logs.length > 0);
  assert.equal(told.length, 1);
  assert.deepEqual(told[0]?.progress, [
    {
      task_id: 't1',
      fencing_token: 1,
      percentage: 60,
      current_step: 'one',
      total_steps: 2,
      checkpoint: { row: 5 },
      intermediate_result: { part: 1 },
    },
    { task_id: 't1', fencing_token: 1, intermediate_result: { part: 2 } },
  ]);
  assert.deepEqual(
    told[0]?.logs?.map(({ level, message, metadata }) => ({ level, message, metadata })),
    [{ level: 'WARN', message: 'slow disk', metadata: { ms: 900 } }],
  );
  assert.equal(told[0]?.results?.length, 1, 'all of it in the same exchange');
  assert.deepEqual(server.results.get('t1')?.metrics, { api_calls: 3, tokens_used: 7 });
  assert.deepEqual(server.results.get('t1')?.output, { row: 4 });
});

test('SAM-71 a worker’s files are uploaded under its lease and listed in the result, a huge output among them', async context => {
  const { server, worker } = await setup(context, async (task: { id: string }, signals) => {
    if (task.id === 'huge') return 'x'.repeat(4 * 1024 * 1024);
    await signals.upload({ name: 'a.txt', source: 'hello', mediaType: 'text/plain' });
    return undefined;
  });
  await worker.start();
  server.submit('files');
  await server.until(() => server.results.has('files'));
  server.submit('huge');
  await server.until(() => server.results.has('huge'));
  assert.deepEqual(Object.fromEntries(server.uploads[0]?.query ?? []), {
    name: 'a.txt',
    task_id: 'files',
    fencing_token: '1',
  });
  assert.deepEqual(
    server.results.get('files')?.artifacts?.map(({ artifact_id }) => artifact_id),
    ['art-1'],
  );
  assert.deepEqual(server.results.get('huge')?.output, { output_ref: 'art-2' });
});

test('a result the server will not take becomes a failure, and holds up none of the others', async context => {
  const gate = Promise.withResolvers<void>();
  const { server, worker } = await setup(
    context,
    async (task: { id: string }) => {
      await gate.promise;
      return task.id;
    },
    { slots: 20 },
  );
  for (let n = 0; n < 8; n += 1) server.submit(`t${n}`);
  await worker.start();
  await server.until(() => server.holders.size === 8);
  server.trouble = ({ results = [] }) =>
    results.some(({ output }) => output === 't5') ? wireError(400, 'INVALID_REQUEST') : null;
  gate.resolve();
  await server.until(() => server.results.size === 8);
  assert.match(
    server.results.get('t5')?.error?.message ?? '',
    /refused the result: refused: INVALID_REQUEST/,
  );
  assert.equal([...server.results.values()].filter(result => result.status === 'completed').length, 7);
});

test('SAM-226 a stopping worker asks for nothing more, lets tasks end, and hands their results in', async context => {
  const gate = Promise.withResolvers<void>();
  const { server, worker } = await setup(context, async () => gate.promise);
  await worker.start();
  server.submit('t1');
  await server.until(() => worker.running === 1);
  const stopping = worker.stop();
  const asked = server.requests.length;
  server.submit('t2');
  gate.resolve();
  await stopping;
  assert.deepEqual([...server.results.keys()], ['t1']);
  assert.equal(worker.running, 0);
  assert.ok(server.requests.slice(asked).every(request => request.slots === 0));
});

test('a stopping worker hands back what does not end in time, with its last checkpoint', async context => {
  const { server, worker } = await setup(context, async (task: { id: string }, signals) => {
    const { why } = await aborted(signals);
    signals.checkpoint({ stopped: why });
    if (task.id === 'stubborn') await new Promise(() => undefined);
    throw new Error('half done');
  });
  for (const id of ['obedient', 'stubborn']) server.submit(id);
  await worker.start();
  await worker.stop({ graceMs: 0 });
  for (const id of ['obedient', 'stubborn'])
    assert.deepEqual(server.results.get(id)?.error, {
      code: 'SERVICE_UNAVAILABLE',
      message: 'the worker stopped before the task was done',
      recoverable: true,
    });
  const checkpoints = server.requests.flatMap(({ progress = [] }) => progress.map(item => item.checkpoint));
  assert.deepEqual(checkpoints, [{ stopped: 'shutdown' }, { stopped: 'shutdown' }]);
});

test('a worker the server will not have does not start, and one whose server is away waits for it', async context => {
  const { server, worker } = await setup(context, () => null);
  server.trouble = () => wireError(401, 'UNAUTHORIZED');
  await assert.rejects(worker.start(), UnauthorizedError);
  const { clock } = standing(12_000);
  const later = await setup(context, () => null, { clock });
  later.server.trouble = () => ({ drop: true });
  const starting = later.worker.start();
  await later.server.until(() => later.server.requests.length >= 3);
  later.server.trouble = null;
  await starting;
});

test('a server that does not hold its polls is not stormed', async context => {
  const { server, worker } = await setup(context, () => null);
  server.trouble = () => ({ json: { leases: [], cancellations: [], extensions: [], rejected: [] } });
  await worker.start();
  await new Promise(resolve => systemClock.after(300, () => resolve(undefined)));
  assert.ok(server.requests.length <= 6, `${server.requests.length} exchanges in 300 ms`);
});

test('SAM-175 a worker with schemas registers them before it asks for work', async context => {
  const { worker, end } = await setup(context, () => null, {
    schemas: { job: { input: { type: 'object' } } },
    capabilities: ['gpu'],
    version: '2',
  });
  await worker.start();
  const [first] = end.asked;
  assert.equal(first?.path, '/api/v2/agents');
  assert.deepEqual(first?.json, {
    agent_id: 'w1',
    types: ['custom:job'],
    kind: 'worker',
    skills: ['gpu'],
    version: '2',
    schemas: { job: { input: { type: 'object' } } },
    capacity: { slots: 10 },
  });
});
