// Providers that are out, asked too often or out of their minds: what the task is told, who is asked instead, and when again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AttemptAbort } from '../../engine/ports/executor.ts';
import { KEY, setup } from './fixture.test.ts';
import { type Answer, begins, cut, piece, says, status } from './model-server.test.ts';

const TASK = { prompt: 'Say hello.' };
const tooMany = (headers: Record<string, string>): Answer =>
  status(429, headers, { error: { message: `slow down, ${KEY}`, type: 'rate_limit' } });

test('SAM-155 a provider that is asked too often is asked again after its Retry-After, and by no task before', async t => {
  const { error, server } = await setup(t);
  server.answers.push(tooMany({ 'retry-after': '7' }));
  const first = await error(TASK);
  assert.deepEqual(
    [first.code, first.recoverable, first.details?.retry_after_ms],
    ['rate_limited', true, 7_000],
  );
  assert.ok(!JSON.stringify(first).includes(KEY));
  const second = await error(TASK);
  assert.equal(second.code, 'rate_limited');
  const waitMs = Number(second.details?.retry_after_ms);
  assert.ok(waitMs > 5_000 && waitMs <= 7_000, String(waitMs));
  assert.equal(server.asked.length, 1);
});

test('Retry-After counts as milliseconds, seconds and as a date by the clock of its provider', async t => {
  const date = { date: 'Thu, 01 Jan 2026 00:00:00 GMT', 'retry-after': 'Thu, 01 Jan 2026 00:01:30 GMT' };
  for (const [headers, waitMs] of [
    [{ 'retry-after-ms': '1500' }, 1_500],
    [{ 'retry-after': '2' }, 2_000],
    [date, 90_000],
    [{ 'retry-after': '999999' }, 3_600_000],
    [{}, 5_000],
  ] as const) {
    const { error, server } = await setup(t);
    server.answers.push(tooMany(headers));
    assert.equal((await error(TASK)).details?.retry_after_ms, waitMs, JSON.stringify(headers));
  }
});

test('SAM-154 where the first provider is out, asked too often or refuses its key, the next one answers with a model of its own', async t => {
  for (const broken of [
    tooMany({ 'retry-after': '60' }),
    status(500),
    status(401),
    begins('Half an ans', response => response.destroy()),
  ]) {
    const { output, server, second } = await setup(t, { fallback: { models: ['understudy'] } });
    server.answers.push(broken);
    const made = await output(TASK);
    assert.deepEqual([made.provider, made.fell_back, made.text], ['fallback', true, 'Hello from the model.']);
    assert.equal(second.asked[0]?.body.model, 'understudy');
  }
});

test('SAM-154 while the first provider rests, the next one is asked at once', async t => {
  const { output, server, second } = await setup(t, { fallback: {} });
  server.answers.push(tooMany({ 'retry-after': '60' }));
  await output(TASK);
  await output(TASK);
  assert.deepEqual([server.asked.length, second.asked.length], [1, 2]);
});

test('where all are out the failure tells what became of each, and is worth another attempt', async t => {
  const { error, server, second } = await setup(t, { fallback: {} });
  server.answers.push(status(503, { 'retry-after': '3' }));
  second.answers.push(status(401));
  const { code, recoverable, details } = await error(TASK);
  assert.deepEqual([code, recoverable, details?.retry_after_ms], ['dependency_failed', true, 3_000]);
  assert.deepEqual(details?.tried, [
    { provider: 'primary', code: 'dependency_failed' },
    { provider: 'fallback', code: 'unprocessable' },
  ]);
});

test('a key or a model that is refused, and a request that is, are not tried again', async t => {
  for (const [code, expected] of [
    [401, 'unprocessable'],
    [404, 'unprocessable'],
    [400, 'task_failed'],
  ] as const) {
    const { error, server, second } = await setup(t, code === 400 ? { fallback: {} } : {});
    server.answers.push(status(code, {}, { error: { message: 'no, and here is why' } }));
    const failed = await error(TASK);
    assert.deepEqual([failed.code, failed.recoverable], [expected, false]);
    assert.equal(failed.details?.provider_message, 'no, and here is why');
    assert.equal(second.asked.length, 0);
  }
});

test('an answer that makes no sense, whole or in pieces, is a failed dependency', async t => {
  const sse = (words: string): Answer => status(200, { 'content-type': 'text/event-stream' }, words);
  const nonsense: readonly (readonly [string, boolean, Answer])[] = [
    ['no JSON', false, status(200, {}, '<html>')],
    ['other JSON', false, status(200, {}, { answer: 42 })],
    ['no choices', false, status(200, {}, { choices: [] })],
    ['no events', true, status(200, {}, '<html>')],
    ['events that are no JSON', true, sse('data: {"choices": [{"del\n\n')],
    ['events of another kind', true, sse('data: {"answer": 42}\n\ndata: [DONE]\n\n')],
    ['an error in the stream', true, sse(`${piece('Well')}data: {"error": {"message": "overloaded"}}\n\n`)],
    ['an end without a reason', true, sse(`${piece('Well')}data: [DONE]\n\n`)],
    ['nothing at all', true, sse('')],
    ['a cut connection', true, begins('Well', response => response.destroy())],
  ];
  for (const [name, stream, answer] of nonsense) {
    const { error, server } = await setup(t);
    server.answers.push(answer);
    const failed = await error({ ...TASK, stream });
    assert.deepEqual([failed.code, failed.recoverable], ['dependency_failed', true], name);
  }
});

test('a provider that falls silent ends the call, before its answer and within', async t => {
  const silent: readonly Answer[] = [() => {}, begins('Well', () => {})];
  for (const answer of silent) {
    const { error, server } = await setup(t, { limits: { silenceMs: 100 } });
    server.answers.push(answer);
    assert.equal((await error(TASK)).code, 'upstream_timeout');
  }
});

test('a stream without end ends at the limit of tokens, and its connection with it, whatever it is made of', async t => {
  const endless: readonly object[] = [
    { content: 'and so on '.repeat(20) },
    { reasoning_content: 'but then again '.repeat(20) },
    {
      tool_calls: [
        { index: 0, id: 'c', type: 'function', function: { name: 'look', arguments: 'a'.repeat(200) } },
      ],
    },
  ];
  for (const delta of endless) {
    const { error, server } = await setup(t);
    const line = `data: ${JSON.stringify({ choices: [{ index: 0, delta }] })}\n\n`;
    server.answers.push(
      begins('Well', response => {
        const write = (): void => {
          while (!response.destroyed && response.write(line));
          response.once('drain', write);
        };
        write();
      }),
    );
    const failed = await error({ ...TASK, max_tokens: 100 });
    assert.deepEqual(
      [failed.code, failed.recoverable, failed.details?.resource],
      ['resource_exhausted', false, 'tokens'],
    );
    await cut(server);
  }
});

test('an answer larger than any model writes ends the call', async t => {
  const { error, server } = await setup(t, { limits: { answerBytesMax: 10_000 } });
  server.answers.push(says('x'.repeat(20_000)));
  const failed = await error({ ...TASK, stream: false });
  assert.deepEqual([failed.code, failed.recoverable], ['payload_too_large', false]);
});

test('SAM-155 cancelling ends the attempt and the stream within a second', async t => {
  const { run, server } = await setup(t);
  server.answers.push(begins('Once upon ', () => {}));
  const abort = new AbortController();
  const running = run(TASK, {
    signal: abort.signal,
    onReport: ({ intermediate }) => {
      if (intermediate !== undefined) abort.abort(new AttemptAbort('cancelled'));
    },
  });
  await assert.rejects(running, (error: unknown) => error === abort.signal.reason);
  const startedAt = performance.now();
  await cut(server);
  assert.ok(performance.now() - startedAt < 1_000);
});

test('a provider that keeps failing is left alone by its breaker, and the failure says until when', async t => {
  const { error, server } = await setup(t);
  server.answers.push(...Array.from({ length: 5 }, () => status(500)));
  for (let call = 0; call < 5; call++) assert.equal((await error(TASK)).code, 'dependency_failed');
  const failed = await error(TASK);
  assert.equal(failed.code, 'circuit_open');
  assert.ok(Number(failed.details?.retry_after_ms) > 20_000);
  assert.equal(server.asked.length, 5);
});
