// What is refused at the door, by which code; and services that take the place of those built in.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SignJWT } from 'jose';
import { type Correspondent, openPost, type Post } from '../../../test/post.ts';
import { asked, message, newId, orchestrator, refused, until } from './fixture.test.ts';

let post: Post;
let boss: Correspondent;

before(async () => {
  post = await openPost();
  boss = await orchestrator(post);
});
after(() => post.stop());

function post1(headers: Readonly<Record<string, string>>, body: unknown): Promise<Response> {
  return fetch(`${post.url}/protocols/nooble/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

test('NOOB-97 NOOB-132 NOOB-147 no credentials get AUTH_004, expired ones AUTH_002, those of another service AUTH_003 and the service named hears nothing', async () => {
  const note = message('agent.notify', {}, { target_service: 'authentication' });
  const codeOf = async (headers: Readonly<Record<string, string>>): Promise<unknown> => {
    const answer = await post1(headers, note);
    assert.equal(answer.status, 401);
    return ((await answer.json()) as { readonly code: string }).code;
  };
  assert.equal(await codeOf({}), 'AUTH_004');
  const seconds = Math.floor(Date.now() / 1_000);
  const expired = await new SignJWT({ agent_id: 'agent_orchestrator', permissions: ['message:send'] })
    .setProtectedHeader({ alg: 'HS256', kid: 'configured' })
    .setIssuedAt(seconds - 7_200)
    .setExpirationTime(seconds - 3_600)
    .sign(new TextEncoder().encode('j'.repeat(48)));
  assert.equal(await codeOf({ authorization: `Bearer ${expired}` }), 'AUTH_002');
  const mallory = await post.agent('mallory');
  const { status, body } = await refused(mallory, note);
  assert.deepEqual([status, body.code], [403, 'AUTH_003']);
  assert.deepEqual(await post.admin.read('nooble', 'authentication'), []);
});

test('NOOB-17 a message for another tenant gets AUTH_003 and has no effect', async () => {
  const ask = message('agent.execute', { query: 'q' }, { tenant_id: 'elsewhere' });
  const { status, body } = await refused(boss, ask);
  assert.deepEqual([status, body.code], [403, 'AUTH_003']);
  assert.equal((await post.admin.ask('GET', `/api/v2/task-status/${ask.task_id}`)).status, 404);
});

test('NOOB-16 a message of exactly 1,048,576 bytes is taken, one of a byte more gets VAL_004', async () => {
  const sized = (bytes: number) => {
    const one = message('agent.notify', { text: '' }, { target_service: 'authentication' });
    const rest = bytes - Buffer.byteLength(JSON.stringify(one));
    return { ...one, payload: { text: 'x'.repeat(rest) } };
  };
  assert.equal((await boss.send('nooble', sized(1_048_576))).status, 202);
  const over = await refused(boss, sized(1_048_577));
  assert.deepEqual([over.status, over.body.code], [413, 'VAL_004']);
});

test('NOOB-38 NOOB-98 NOOB-150 an agent that cannot be set up so gets AEX_001 with what is wrong and the configuration received', async () => {
  const config = {
    agent_id: 'sales-analysis-agent',
    parameters: { temperature: 1.5, model: 'custom-model-xyz' },
  };
  const { status, body } = await refused(
    boss,
    message('agent.execute', { query: 'q', agent_config: config }),
  );
  assert.deepEqual([status, body.code], [422, 'AEX_001']);
  assert.deepEqual(body.details.validation_errors, [
    {
      field: 'agent_config.parameters.temperature',
      message: 'El valor debe estar entre 0 y 1, se recibió: 1.5',
    },
  ]);
  assert.deepEqual(body.details.agent_config, config);
});

test('NOOB-39 where the tenant turns the built-in agent off, an agent nobody registered gets AEX_001', async () => {
  const admin = await post.agent('agent_orchestrator', { permissions: ['admin'] });
  const ask = () => message('agent.execute', { query: 'q', agent_config: { agent_id: 'nobody' } });
  assert.equal((await asked(boss, ask())).type.action, 'response');
  await asked(admin, message('system.update', { built_in_agent: false }));
  assert.equal((await refused(boss, ask())).body.code, 'AEX_001');
  await asked(admin, message('system.update', { built_in_agent: true }));
});

test('NOOB-42 a document nobody knows is a warning, a history is read', async () => {
  const answer = await asked(
    boss,
    message('agent.execute', {
      query: 'ventas trimestrales',
      context: [
        {
          type: 'conversation_history',
          content: [{ role: 'user', content: 'Las ventas trimestrales suben.' }],
        },
        { type: 'document_reference', content: { document_id: 'doc-456', chunks: [1] } },
      ],
    }),
  );
  assert.match(answer.payload.response, /suben/);
  assert.deepEqual(answer.metadata.warnings, ['there is no document doc-456']);
});

test('NOOB-44 an answer of passages keeps within max_tokens', async () => {
  const text = Array.from({ length: 5 }, (_, n) => `ventas ${n} ${'palabra '.repeat(20)}`).join('\n\n');
  const { payload } = await asked(
    boss,
    message('agent.execute', { query: 'ventas', max_tokens: 60, context: [{ type: 'note', content: text }] }),
  );
  assert.ok(payload.completion_tokens > 0 && payload.completion_tokens <= 60, `${payload.completion_tokens}`);
});

test('NOOB-32 what is experimental and not allowed has no effect but a warning', async () => {
  const ask = message('tool.query', {}, { metadata: { experimental: true } });
  assert.deepEqual((await asked(boss, ask)).metadata.warnings, [
    'experimental features are not allowed here',
  ]);
});

test('NOOB-33 sensitive data shows neither in streams nor among what was refused', async () => {
  const secret = `secret-${newId()}`;
  const made = await post.admin.ask('POST', '/protocols/nooble/subscriptions', {
    types: ['agent.*'],
    deliver: 'sse',
  });
  const send = (metadata: object) =>
    boss.send('nooble', message('agent.notify', { secret }, { target_service: 'authentication', metadata }));
  await send({ sensitive_data: true });
  await boss.send('nooble', message('agent.notify', { n: 1 }, { target_service: 'authentication' }));
  const stop = new AbortController();
  const stream = await fetch(`${post.url}/protocols/nooble/subscriptions/${made.body.id}/stream`, {
    headers: { ...post.admin.headers },
    signal: stop.signal,
  });
  let text = '';
  for await (const chunk of stream.body ?? []) {
    text += Buffer.from(chunk).toString('utf8');
    if (text.includes('"n":1')) break;
  }
  stop.abort();
  assert.ok(!text.includes(secret));
  const bad = message('agent.execute', { secret }, { metadata: { sensitive_data: true } });
  await refused(boss, bad);
  const { body } = await post.admin.ask('GET', '/protocols/nooble/dead-letters?reason=invalid');
  assert.ok(JSON.stringify(body).includes(bad.message_id) && !JSON.stringify(body).includes(secret));
});

test('NOOB-72 a notice reaches its target and subscribers, and nobody answers it', async () => {
  const shop = await post.register('shop');
  const made = await post.admin.ask('POST', '/protocols/nooble/subscriptions', {
    ...{ types: ['workflow.notify'], deliver: 'inbox', inbox: 'knowledge_base' },
  });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const note = message(
    'workflow.notify',
    { n: 1 },
    { target_service: 'shop', source_service: 'agent-orchestrator' },
  );
  const sent = await boss.send('nooble', note, '?wait=0.3');
  assert.equal(sent.body.reply, undefined);
  const [got] = await shop.read('nooble', 'shop');
  assert.equal(got?.message.message_id, note.message_id);
  const [copy] = await post.admin.read('nooble', 'knowledge_base', { wait: 5 });
  assert.equal(copy?.message.message_id, note.message_id);
});

test('NOOB-136 a registered service takes the place of the one built in until it signs off', async () => {
  const registry = await post.agent('tool_registry');
  const beat = (status: string) => message('system.status', { status }, { source_service: 'tool_registry' });
  await registry.send('nooble', beat('healthy'));
  const ask = message('tool.execute', { tool_name: 'theirs', parameters: {} });
  await boss.send('nooble', ask);
  const [work] = await registry.read('nooble', 'tool_registry:tasks:default', { wait: 10 });
  assert.equal(work?.message.message_id, ask.message_id);
  const result = message(
    'tool.result',
    { tool_name: 'theirs', result: 7 },
    {
      ...{ task_id: ask.task_id, correlation_id: ask.correlation_id, status: 'completed' },
      ...{ source_service: 'tool_registry', target_service: 'agent_orchestrator' },
    },
  );
  assert.equal((await registry.send('nooble', result)).status, 202);
  const seen = await until(boss, 'agent_orchestrator', one => one.task_id === ask.task_id);
  assert.equal(seen.at(-1)?.payload.result, 7);
  await registry.send('nooble', beat('stopped'));
  const answer = await asked(boss, message('tool.execute', { tool_name: 'theirs', parameters: {} }));
  assert.equal(answer.error.code, 'AEX_003');
});
