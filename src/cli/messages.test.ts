// The commands for messages: what they ask of a server, what they print, and how they end.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPost } from '../../test/post.ts';
import { judgeMessage, translateMessage } from '../app/offline.ts';
import type { Answer } from '../sdk/far-end.test.ts';
import { call, shell } from './shell.test.ts';

const app = { validateMessage: judgeMessage, translateMessage };
const order = {
  id: 'order-1',
  timestamp: '2026-01-31T12:00:00Z',
  from: 'coordinator',
  to: 'writer',
  type: 'task_request',
  payload: { task_id: 't1', task_type: 'write', description: 'write it', parameters: { topic: 'tea' } },
};
const letter = {
  ...{
    id: 17,
    inbox: 'agent:ana',
    reason: 'expired',
    last_error: 'too late',
    attempts: 2,
    sender: 'key:bob',
  },
  ...{ died_at: '2026-01-31T11:00:00.000Z', accepted_at: '2026-01-31T10:00:00.000Z', message: order },
};

test('send hands over the message of standard input as it stands, waits for a reply when told to, and says when none came', async context => {
  const replies: Answer[] = [
    { status: 202, json: { message_id: 'order-1', status: 'accepted' } },
    { status: 202, json: { message_id: 'order-1', status: 'accepted', reply: { type: 'task_response' } } },
    { status: 202, json: { message_id: 'order-1', status: 'accepted' } },
  ];
  const { run, end } = await shell(context, (_, earlier) => replies[earlier] ?? {}, {
    stdin: JSON.stringify(order),
  });
  const sent = await run('send - --protocol army');
  assert.deepEqual([sent.exitCode, sent.out], [0, 'accepted order-1\n']);
  assert.deepEqual(end.asked[0]?.json, order);
  assert.equal(end.asked[0]?.path, '/protocols/army/messages');
  const answered = await run('send - --protocol army --wait 5 --json');
  assert.deepEqual([answered.exitCode, answered.json.reply], [0, { type: 'task_response' }]);
  assert.equal(end.asked[1]?.query.get('wait'), '5');
  const silent = await run('send - -p army -w 5');
  assert.equal(silent.exitCode, 8);
  assert.match(silent.out, /no reply within 5 s/);
});

test('send of an array tells what became of each message, and exits 7 when one is refused', async context => {
  const results = [
    { message_id: 'a', status: 'accepted' },
    { message_id: 'b', status: 'rejected', error: { error_code: 'FORBIDDEN', message: 'not you' } },
  ];
  const { run } = await shell(context, () => ({ status: 207, json: { results } }), { stdin: '[{},{}]' });
  const sent = await run('send - --protocol army');
  assert.equal(sent.exitCode, 7);
  assert.equal(sent.out, 'accepted a\nrejected b FORBIDDEN: not you\n');
  assert.equal((await run('send -')).exitCode, 2, 'no protocol');
  assert.equal((await run('send - --protocol morse')).exitCode, 2, 'no such protocol');
});

test('inbox shows what waits and gives it back, or acknowledges it when told to', async context => {
  const delivery = {
    delivery_id: '1.1',
    attempt: 1,
    visible_until: '2026-01-31T12:00:30.000Z',
    message: order,
  };
  const { run, end } = await shell(context, ({ method }) =>
    method === 'GET' ? { json: { messages: [delivery] } } : { json: { results: [{ delivery_id: '1.1' }] } },
  );
  const looked = await run('inbox ana --protocol army --wait 3 --max 2');
  assert.match(looked.out, /^task_request from coordinator {2}delivery 1\.1, number 1\n/);
  assert.match(looked.err, /left in the inbox/);
  const taken = await run('inbox ana --protocol army --ack --json');
  assert.deepEqual(taken.json, { messages: [delivery] });
  assert.deepEqual(
    end.asked.map(({ path, query, json }) => [path, query.get('wait'), json.items]),
    [
      ['/protocols/army/inbox/ana', '3', undefined],
      ['/protocols/army/inbox/ana/ack', null, [{ delivery_id: '1.1', outcome: 'nack' }]],
      ['/protocols/army/inbox/ana', null, undefined],
      ['/protocols/army/inbox/ana/ack', null, [{ delivery_id: '1.1', outcome: 'ack' }]],
    ],
  );
});

test('inbox --follow acknowledges and prints what comes, a line each, until it is interrupted', async context => {
  const interrupt = new AbortController();
  const delivery = (n: number) => ({
    delivery_id: `${n}.1`,
    attempt: 1,
    visible_until: '',
    message: { id: n },
  });
  let reads = 0;
  const { run } = await shell(
    context,
    ({ method }) => {
      if (method !== 'GET') return { json: { results: [] } };
      reads += 1;
      if (reads > 2) interrupt.abort(new Error('interrupted'));
      return { json: { messages: reads > 2 ? [] : [delivery(reads)] } };
    },
    { signal: interrupt.signal },
  );
  const followed = await run('inbox ana --protocol army --follow --json');
  assert.deepEqual(
    followed.lines.map(one => one.delivery_id),
    ['1.1', '2.1'],
  );
  assert.equal(followed.exitCode, 130);
});

test('dlq lists, shows, puts back by id or filter, and drops', async context => {
  const { run, end } = await shell(context, ({ method, path }) => {
    if (path.endsWith('/replay')) return { json: { replayed: [17] } };
    return method === 'DELETE' ? { status: 204 } : { json: { dead_letters: [letter], next_cursor: null } };
  });
  const listed = await run('dlq --protocol army --reason expired --since 1h');
  assert.match(listed.out, /^ID +REASON .*\n17 +expired +agent:ana +key:bob +2 /);
  assert.equal(end.asked[0]?.query.get('since'), '2026-01-31T11:00:00.000Z');
  assert.match((await run('dlq show 17 --protocol army')).out, /why +too late[\s\S]*"id": "order-1"/);
  assert.equal((await run('dlq show 18 --protocol army')).exitCode, 5);
  assert.equal((await run('dlq replay 17 --protocol army')).out, 'put back 17\n');
  await run('dlq replay --protocol army --reason expired');
  assert.deepEqual(
    end.asked.filter(({ path }) => path.endsWith('/replay')).map(({ json }) => json),
    [{ ids: [17] }, { filter: { reason: 'expired' } }],
  );
  assert.equal((await run('dlq replay --protocol army')).exitCode, 2, 'neither ids nor a filter');
  assert.equal((await run('dlq drop 17 --protocol army')).out, 'dropped 17\n');
  assert.equal((await run('dlq drop seventeen --protocol army')).exitCode, 2);
});

test('validate needs no server: it says which field breaks which requirement and exits 1, and names what only a server can tell', async () => {
  const valid = await call('validate - --protocol army', { stdin: JSON.stringify(order), app });
  assert.deepEqual([valid.exitCode, valid.out], [0, 'valid task_request\n']);
  const broken = { ...order, payload: { task_id: '', task_type: 'write' } };
  const faults = await call('validate - --protocol army', { stdin: JSON.stringify(broken), app });
  assert.equal(faults.exitCode, 1);
  assert.match(
    faults.out,
    /^invalid\n(?: {2}payload\.\w+ .*\n)*? {2}payload\.description is required \(ARMY-20\)\n/,
  );
  assert.match(faults.out, / {2}payload\.task_id must match .* \(ARMY-20\)\n/);
  const misdirected = { ...order, to: 'memory' };
  const several = await call('validate - --protocol army --json', {
    stdin: JSON.stringify([order, misdirected]),
    app,
  });
  assert.equal(several.exitCode, 1);
  assert.deepEqual(
    several.lines.map(({ valid: isValid }) => isValid),
    [true, false],
  );
  const answer = {
    ...{
      ...order,
      id: 'answer-1',
      from: 'writer',
      to: 'coordinator',
      type: 'task_response',
      reply_to: 'order-1',
    },
    payload: { task_id: 't1', status: 'completed', result: { content: 'tea' } },
  };
  const told = await call('validate - --protocol army', { stdin: JSON.stringify(answer), app });
  assert.match(told.out, /^valid task_response\n {2}taken for granted: the message order-1/);
});

test('translate puts a message into another wire’s words without a server, and back its own are as they were', async () => {
  const options = { stdin: JSON.stringify(order), app };
  const translated = await call('translate - --from army --to blog --json', options);
  assert.equal(translated.exitCode, 0, translated.err);
  const { id, to, type, payload } = translated.json;
  assert.deepEqual([id, to, type], ['order-1', 'writer', 'request']);
  assert.match(JSON.stringify(payload), /"topic":"tea"/);
  const request = {
    ...{ id: 'b1', from: 'executor', to: 'planner', type: 'request', payload: { intent: 'chat' } },
    metadata: { timestamp: '2026-01-31T12:00:00Z', priority: 'high' },
  };
  const asked = await call('translate - --from blog --to army --json', {
    stdin: JSON.stringify(request),
    app,
  });
  assert.deepEqual([asked.json.type, asked.json.id], ['task_request', 'b1']);
  const judged = await call('validate - --protocol army', { stdin: JSON.stringify(asked.json), app });
  assert.equal(judged.exitCode, 0, judged.out);
  const broken = await call('translate - --from army --to blog', { stdin: '{"id":"x"}', app });
  assert.notEqual(broken.exitCode, 0);
  assert.equal((await call('translate - --from army', options)).exitCode, 2);
});

test('a message sent from the command line is traced by it, is found in the inbox, and is gone once acknowledged', async context => {
  const post = await openPost();
  context.after(() => post.stop());
  await post.register('boss', { roles: ['army:supervisor'] });
  await post.register('ana', { roles: ['army:writer'] });
  const { 'x-api-key': key, 'x-api-secret': secret } = post.admin.headers;
  const environment = {
    ...{ BATUTA_URL: post.url, BATUTA_API_KEY: String(key), BATUTA_API_SECRET: String(secret) },
  };
  const note = {
    ...{ id: 'n1', timestamp: '2026-01-31T12:00:00Z', from: 'supervisor:boss', to: 'writer:ana' },
    ...{ type: 'coordination', payload: { action: 'note' }, correlation_id: 'talk' },
  };
  const sent = await call('send - --protocol army', { environment, stdin: JSON.stringify(note) });
  assert.equal(sent.exitCode, 0, sent.err);
  const traced = await call('trace talk', { environment });
  assert.match(traced.out, /^sequenceDiagram\n[\s\S]*: coordination/);
  const found = await call('inbox ana --protocol army --ack --json', { environment });
  const messages = found.json.messages as readonly { readonly message: { readonly id: string } }[];
  assert.deepEqual(
    messages.map(({ message }) => message.id),
    ['n1'],
  );
  assert.equal((await call('inbox ana --protocol army', { environment })).out, 'nothing waits\n');
  assert.equal((await call('trace nothing', { environment })).exitCode, 5);
});
