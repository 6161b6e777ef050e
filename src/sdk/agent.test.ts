// Agents of the SDK at a real server, speaking a wire that only tests know.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPost, type Post } from '../../test/post.ts';
import { createToyDialect } from '../../test/toy-dialect.ts';
import type { Json } from '../domain/json.ts';
import { Agent, type AgentOptions, LetterRejected } from './agent.ts';
import { RecoverableError, WaitTimeoutError } from './errors.ts';
import { blankLetter, type Letter, namesIn, objectIn, textIn, textOrNull, type Wording } from './wording.ts';

const ACTS: Readonly<Record<string, Letter['kind']>> = {
  accept: 'accepted',
  report_outcome: 'outcome',
  refuse: 'error',
  control_task: 'task_control',
};

/** Notes; what the server says comes as its meaning in `text`. */
const toy: Wording = {
  name: 'toy',
  read(envelope) {
    const id = textIn(envelope.id);
    const type = textIn(envelope.type);
    const text = objectIn(envelope.text);
    const asked = objectIn(text.task);
    const kind = type === 'work' ? 'task_request' : (ACTS[textIn(text.act)] ?? 'message');
    return {
      ...blankLetter(envelope, id),
      ...{ kind, type, from: textIn(envelope.from), to: namesIn(envelope.to) },
      ...{ replyTo: textOrNull(envelope.answers), taskId: textIn(envelope.about, id) },
      payload: envelope.text ?? null,
      task:
        kind === 'task_request'
          ? {
              id: textIn(envelope.about, id),
              type: 'toy',
              description: '',
              input: asked.input ?? envelope.text ?? null,
              context: {},
            }
          : null,
      result: text.result ?? null,
      fault:
        text.act === 'refuse' || text.status === 'failed'
          ? { code: 'FAILED', message: 'it failed', recoverable: false, details: {} }
          : null,
    };
  },
  envelope: ({ type, to, payload, taskId }, { id, self, answers }) => ({
    ...{ id, type, from: self.id, to: [to].flat()[0] ?? '', text: payload },
    ...(taskId === undefined ? {} : { about: taskId }),
    ...(answers === undefined ? {} : { answers: answers.id }),
  }),
  request: ({ id, input, to }) => ({ type: 'work', to, payload: input, taskId: id }),
  progress: () => null,
  completed: (request, result) => done(request, result),
  failed: (request, fault) => done(request, { failed: fault.message }),
  reply: (letter, payload) => ({ type: 'note', to: letter.from, payload }),
  event: () => null,
  remember: () => null,
  recall: () => null,
};

function done(request: Letter, payload: Json) {
  return { type: 'done', to: request.from, payload, taskId: request.taskId ?? '' };
}

let post: Post;
before(async () => {
  post = await openPost({ BATUTA_LEASE_MS: '1500' }, { dialects: [createToyDialect] });
});
after(() => post.stop());

async function agentOf(id: string, options: Partial<AgentOptions> = {}): Promise<Agent> {
  const { headers } = await post.agent(id);
  const token = String(headers.authorization).slice('Bearer '.length);
  return new Agent({ url: post.url, credentials: { token }, id, dialect: toy, waitSeconds: 5, ...options });
}

for (const transport of ['poll', 'socket'] as const) {
  const tag = (name: string): string => `${transport}-${name}`;

  test(`ARMY-90 ARMY-92 ARMY-98 an agent that reads by ${transport} is asked, answers, and nothing is left in either inbox`, async t => {
    const ann = await agentOf(tag('ann'), { transport });
    const bob = await agentOf(tag('bob'), { transport });
    t.after(() => Promise.all([ann.stop({ graceMs: 0 }), bob.stop({ graceMs: 0 })]));
    bob.on('message', letter => ({ heard: letter.payload }));
    await Promise.all([ann.start(), bob.start()]);
    const answer = await ann.ask({ type: 'note', to: tag('bob'), payload: 'how are you' });
    assert.deepEqual(answer.payload, { heard: 'how are you' });
    await Promise.all([ann.stop(), bob.stop()]);
    for (const name of ['ann', 'bob'])
      assert.deepEqual(await post.admin.read('toy', tag(name)), [], `${name} left something`);
  });

  test(`ARMY-92 a task requested through an agent is done by another that reads by ${transport}, however long it takes`, async t => {
    const ann = await agentOf(tag('asker'), { transport });
    const bob = await agentOf(tag('doer'), { transport, skills: ['toy'] });
    t.after(() => Promise.all([ann.stop({ graceMs: 0 }), bob.stop({ graceMs: 0 })]));
    let runs = 0;
    bob.on('task_request', async ({ task }) => {
      runs += 1;
      // Longer than the lease: it is the agent that keeps it.
      await new Promise(resolve => setTimeout(resolve, 3_000));
      return { doubled: Number(objectIn(task.input).n) * 2 };
    });
    await Promise.all([ann.start(), bob.start()]);
    const result = await ann.request(
      { type: 'toy', description: 'double it', input: { n: 21 }, to: tag('doer') },
      { timeoutMs: 20_000 },
    );
    assert.deepEqual(result, { doubled: 42 });
    assert.equal(runs, 1);
  });
}

test('an answer that does not come in time is a WaitTimeoutError, and what comes late is acknowledged', async t => {
  const ann = await agentOf('patient');
  const bob = await agentOf('slow');
  t.after(() => Promise.all([ann.stop({ graceMs: 0 }), bob.stop({ graceMs: 0 })]));
  const asked = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const late = Promise.withResolvers<Letter>();
  bob.on('note', async () => {
    asked.resolve();
    await go.promise;
    return 'at last';
  });
  ann.on('*', letter => {
    late.resolve(letter);
  });
  await Promise.all([ann.start(), bob.start()]);
  await assert.rejects(
    ann.ask({ type: 'note', to: 'slow', payload: 1 }, { timeoutMs: 200 }),
    WaitTimeoutError,
  );
  await asked.promise;
  go.resolve();
  assert.equal((await late.promise).payload, 'at last');
});

test('what a handler throws brings the letter again, and a LetterRejected puts it among the dead letters with its reason', async t => {
  const bob = await agentOf('fussy');
  t.after(() => bob.stop({ graceMs: 0 }));
  const attempts: number[] = [];
  const taken = Promise.withResolvers<void>();
  const rejected = Promise.withResolvers<void>();
  bob.on('note', async (letter, { attempt }) => {
    if (letter.payload === 'never') {
      rejected.resolve();
      throw new LetterRejected('not my cup of tea');
    }
    attempts.push(attempt);
    if (attempt < 2) throw new Error('not yet');
    taken.resolve();
  });
  await bob.start();
  const ann = await post.register('fussy-sender');
  await ann.send('toy', { id: 'again', type: 'note', from: 'fussy-sender', to: 'fussy', text: 'again' });
  await taken.promise;
  assert.deepEqual(attempts, [1, 2]);
  await ann.send('toy', { id: 'never', type: 'note', from: 'fussy-sender', to: 'fussy', text: 'never' });
  await rejected.promise;
  await bob.stop();
  const { body } = await post.admin.ask('GET', '/protocols/toy/dead-letters?inbox=fussy');
  assert.deepEqual(
    body.dead_letters.map((one: { reason: string; last_error: string }) => [one.reason, one.last_error]),
    [['rejected_by_receiver', 'not my cup of tea']],
  );
});

test('an agent that stops gives back a task its handler does not end, at once and without blame', async t => {
  const ann = await agentOf('giver');
  const first = await agentOf('quitter', { skills: ['toy'] });
  const second = await agentOf('taker', { skills: ['toy'] });
  t.after(() => Promise.all([ann, first, second].map(one => one.stop({ graceMs: 0 }))));
  const begun = Promise.withResolvers<void>();
  first.on('task_request', async (_, { signal }) => {
    begun.resolve();
    await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  });
  second.on('task_request', () => 'mine');
  await Promise.all([ann.start(), first.start()]);
  const asked = ann.request({ type: 'toy', description: '', input: {}, to: 'quitter', id: 'handed-on' });
  await begun.promise;
  await second.start();
  await first.stop({ graceMs: 50 });
  assert.equal(await asked, 'mine');
  const { body } = await post.admin.ask('GET', '/api/v2/task-status/handed-on');
  assert.equal(body.current_status.state, 'completed');
});

test('a letter nobody has a handler for is rejected with the reason, one that only tells is acknowledged', async t => {
  const bob = await agentOf('deaf');
  t.after(() => bob.stop({ graceMs: 0 }));
  await bob.start();
  const ann = await post.register('deaf-sender');
  await ann.send('toy', { id: 'unheard', type: 'note', from: 'deaf-sender', to: 'deaf', text: 'hello' });
  await ann.send('toy', {
    id: 'told',
    type: 'note',
    from: 'deaf-sender',
    to: 'deaf',
    text: { act: 'accept' },
  });
  const [notice] = await ann.read('toy', 'deaf-sender', { wait: 10 });
  assert.equal(notice?.message.answers, 'unheard');
  await bob.stop();
  const { body } = await post.admin.ask('GET', '/protocols/toy/dead-letters?inbox=deaf');
  assert.deepEqual(
    body.dead_letters.map((one: { last_error: string }) => one.last_error),
    ['deaf has no handler for note'],
  );
  assert.deepEqual(await post.admin.read('toy', 'deaf'), []);
});

test('an agent goes on after its socket was cut, and what it was handling comes again', async t => {
  const errors: unknown[] = [];
  const bob = await agentOf('cut', { transport: 'socket', onError: error => errors.push(error) });
  t.after(() => bob.stop({ graceMs: 0 }));
  let deliveries = 0;
  const [begun, again] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  bob.on('note', async (_, { signal }) => {
    deliveries += 1;
    if (deliveries > 1) {
      again.resolve();
      return;
    }
    begun.resolve();
    await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  });
  const sockets: WebSocket[] = [];
  const Real = globalThis.WebSocket;
  globalThis.WebSocket = class extends Real {
    constructor(...args: ConstructorParameters<typeof Real>) {
      super(...args);
      sockets.push(this);
    }
  };
  t.after(() => {
    globalThis.WebSocket = Real;
  });
  await bob.start();
  const ann = await post.register('cutter');
  await ann.send('toy', { id: 'cut-1', type: 'note', from: 'cutter', to: 'cut', text: 1 });
  await begun.promise;
  sockets[0]?.close();
  await again.promise;
  await bob.stop();
  assert.deepEqual(await post.admin.read('toy', 'cut'), []);
  assert.ok(errors.length > 0, 'nobody was told that the socket broke');
});

test('a wire without words for memory or events says so, and an unknown wire is refused by name', async () => {
  const ann = await agentOf('wordless');
  await assert.rejects(ann.remember({ key: 'k', value: 1 }), /the toy wire has no words for memory/);
  await assert.rejects(ann.publish('news'), /the toy wire has no words for events/);
  assert.throws(
    () => new Agent({ url: post.url, id: 'x', dialect: 'morse' }),
    /no wording is known for morse, only for army/,
  );
});

test('a handler that throws a RecoverableError reports a failure that may be tried again', async t => {
  const faults: boolean[] = [];
  const wording: Wording = {
    ...toy,
    failed: (request, fault) => {
      faults.push(fault.recoverable);
      return done(request, 'failed');
    },
  };
  const ann = await agentOf('hopeful');
  const bob = await agentOf('shaky', { dialect: wording, skills: ['toy'] });
  t.after(() => Promise.all([ann.stop({ graceMs: 0 }), bob.stop({ graceMs: 0 })]));
  bob.on('task_request', ({ task }) => {
    throw objectIn(task.input).again === true ? new RecoverableError('later') : new Error('never');
  });
  await Promise.all([ann.start(), bob.start()]);
  await ann.request({ type: 'toy', description: '', input: { again: true }, to: 'shaky' });
  await ann.request({ type: 'toy', description: '', input: {}, to: 'shaky' });
  assert.deepEqual(faults, [true, false]);
});
