// Messages on their way through a whole server: repeats, schedules, time limits, languages, versions, queues, and the examples of the source.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { type Correspondent, correspondent, openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { createToyDialect } from '../../../test/toy-dialect.ts';
import { asked, message, newId, orchestrator, refused, taskOf, until } from './fixture.test.ts';

let post: Post;
let boss: Correspondent;

before(async () => {
  post = await openPost({}, { dialects: [createToyDialect] });
  boss = await orchestrator(post);
});
after(() => post.stop());

const examples: readonly Loose[] = JSON.parse(
  readFileSync(new URL('./examples.json', import.meta.url), 'utf8'),
);

suite('examples', () => {
  test('NOOB-18 every example of the source is taken as it stands, moved to now', async () => {
    assert.equal(examples.length, 14);
    const made = await post.admin.ask('POST', '/api/v2/tenants', {
      tenant_id: 'tenant-ab123',
      name: 'Nooble',
    });
    const { api_key: key, api_secret: secret } = made.body;
    const theirs = correspondent(post.url, { 'x-api-key': key, 'x-api-secret': secret });
    // Sent singly, reports are of tasks unknown here; after the requests they would be late.
    const isAsking = ({ type }: Loose): number =>
      Number(['execute', 'start', 'step', 'update', 'search', 'validate'].includes(type.action));
    for (const example of examples.toSorted((one, other) => isAsking(one) - isAsking(other))) {
      const sent = await theirs.send('nooble', { ...example, created_at: new Date().toISOString() });
      assert.equal(sent.status, 202, `${JSON.stringify(example.type)} ${JSON.stringify(sent.body)}`);
    }
    const seen = new Set<string>();
    const answered = await until(theirs, 'agent_orchestrator', one => {
      seen.add(`${one.type.domain}.${one.type.action}`);
      return one.type.domain === 'workflow' && one.payload.workflow_status === 'completed';
    });
    assert.ok(answered.length > 0);
    for (const pair of [
      'agent.status',
      'agent.response',
      'agent.error',
      'workflow.status',
      'auth.result',
      'conversation.status',
    ])
      assert.ok(seen.has(pair), `${pair} of ${[...seen].join()}`);
  });
});

suite('replies', () => {
  test('NOOB-3 NOOB-10 NOOB-20 NOOB-26 a reply keeps task, correlation, session, conversation, user and trace, swaps the ends and is one more urgent', async () => {
    const ask = message(
      'agent.execute',
      { query: 'q' },
      {
        ...{ session_id: newId(), conversation_id: 'conv-1', priority: 5 },
        metadata: { trace_id: 'trace-abc123', user_id: 'user-123', timeout_ms: 20_000 },
      },
    );
    const answer = await asked(boss, ask);
    for (const field of ['task_id', 'tenant_id', 'correlation_id', 'session_id', 'conversation_id'])
      assert.equal(answer[field], ask[field], field);
    assert.deepEqual(
      [answer.source_service, answer.target_service],
      ['agent_execution', 'agent_orchestrator'],
    );
    assert.equal(answer.priority, 4);
    assert.deepEqual([answer.metadata.trace_id, answer.metadata.user_id], ['trace-abc123', 'user-123']);
    assert.match(answer.message_id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.ok(answer.metadata.completed_at >= answer.metadata.processed_at);
    assert.equal(typeof answer.metadata.processing_time_ms, 'number');
    const urgent = await asked(boss, message('agent.execute', { query: 'q' }, { priority: 2 }));
    assert.equal(urgent.priority, 2);
  });

  test('NOOB-88 NOOB-13 NOOB-31 an error has the domain of what was asked, its metadata and details, in the language of its user', async () => {
    const failing = (locale: string) =>
      asked(
        boss,
        message(
          'tool.execute',
          { tool_name: 'nope' },
          { priority: 6, metadata: { user_locale: locale, retry_count: 2 } },
        ),
      );
    const error = await failing('es');
    assert.deepEqual(
      [error.type, error.status, error.priority],
      [{ domain: 'tool', action: 'error' }, 'failed', 6],
    );
    assert.equal(error.metadata.error_code, error.error.code);
    assert.equal(error.metadata.error_message, 'Herramienta no disponible');
    assert.equal(error.metadata.retry_count, 2);
    assert.equal(error.payload.error_details.tool_name, 'nope');
    assert.equal((await failing('fr')).error.message, 'Tool not available');
    const here = await refused(boss, message('agent.execute', {}, { metadata: { user_locale: 'en' } }));
    assert.equal(here.body.message, 'Required field missing');
    assert.deepEqual(here.body.details.missing_fields, ['payload.query']);
  });
});

suite('repeats', () => {
  test('NOOB-15 an id that another tenant uses gets VAL_005, which tells nothing of that tenant', async () => {
    const ask = message('agent.notify', { secret: 'x' }, { target_service: 'conversation' });
    assert.equal((await boss.send('nooble', ask)).status, 202);
    const made = await post.admin.ask('POST', '/api/v2/tenants', { tenant_id: 'elsewhere', name: 'E' });
    const { api_key: key, api_secret: secret } = made.body;
    const theirs = correspondent(post.url, { 'x-api-key': key, 'x-api-secret': secret });
    const { status, body } = await refused(theirs, { ...ask, tenant_id: 'elsewhere' });
    assert.deepEqual([status, body.code], [409, 'VAL_005']);
    assert.ok(!JSON.stringify(body).includes('default'));
  });

  test('NOOB-24 a second message of the same deduplication key starts nothing, even with another body', async () => {
    const metadata = { deduplication_key: newId() };
    const first = message('agent.execute', { query: 'uno' }, { metadata });
    const second = message('agent.execute', { query: 'dos' }, { metadata });
    assert.equal((await boss.send('nooble', first)).body.status, 'accepted');
    const again = await boss.send('nooble', second);
    assert.deepEqual(
      [again.status, again.body.status, again.body.message_id],
      [200, 'duplicate', first.message_id],
    );
    assert.equal((await post.admin.ask('GET', `/api/v2/task-status/${second.task_id}`)).status, 404);
    const other = await boss.send('nooble', message('tool.query', {}, { metadata }));
    assert.equal(other.body.status, 'accepted');
  });

  test('NOOB-25 the same idempotency key and payload is answered by the first reply, with another payload by VAL_005', async () => {
    const metadata = { idempotency_key: newId() };
    const first = await asked(boss, message('agent.execute', { query: 'uno' }, { metadata }));
    const again = await boss.send(
      'nooble',
      message('agent.execute', { query: 'uno' }, { metadata }),
      '?wait=5',
    );
    assert.equal(again.body.status, 'duplicate');
    assert.equal(again.body.reply.message_id, first.message_id);
    const other = await refused(boss, message('agent.execute', { query: 'dos' }, { metadata }));
    assert.deepEqual([other.status, other.body.code], [409, 'VAL_005']);
  });

  test('NOOB-137 NOOB-14 a second asking message of a task with another payload gets VAL_005', async () => {
    const first = message('agent.execute', { query: 'uno' });
    await asked(boss, first);
    const { body } = await refused(
      boss,
      message('agent.execute', { query: 'dos' }, { task_id: first.task_id }),
    );
    assert.equal(body.code, 'VAL_005');
  });
});

suite('time', () => {
  test('NOOB-36 a message for later is shown pending, and starts then and not sooner', async () => {
    const due = Date.now() + 1_500;
    const ask = message(
      'agent.execute',
      { query: 'q' },
      { metadata: { scheduled_for: new Date(due).toISOString() } },
    );
    await boss.send('nooble', ask);
    const about = { task_id: ask.task_id, correlation_id: ask.correlation_id };
    const before = await asked(boss, message('agent.query', {}, about));
    assert.equal(before.status, 'pending');
    const seen = await until(
      boss,
      'agent_orchestrator',
      one => one.task_id === ask.task_id && one.type.action === 'response',
    );
    const at = Date.parse(seen.at(-1)?.metadata.processed_at);
    assert.ok(at >= due - 5 && at < due + 3_000, `${at - due}`);
    const note = message(
      'agent.notify',
      {},
      {
        target_service: 'authentication',
        metadata: { scheduled_for: new Date(Date.now() + 800).toISOString() },
      },
    );
    await boss.send('nooble', note);
    assert.deepEqual(await post.admin.read('nooble', 'authentication.agent.notify'), []);
    const [later] = await post.admin.read('nooble', 'authentication.agent.notify', { wait: 6 });
    assert.equal(later?.message.message_id, note.message_id);
  });

  test('NOOB-21 NOOB-6 over its timeout a task ends and who asked gets GEN_002', async () => {
    await post.register('sleeper');
    const ask = message(
      'agent.execute',
      { query: 'q', agent_config: { agent_id: 'sleeper' } },
      { metadata: { timeout_ms: 1_200 } },
    );
    const error = await asked(boss, ask, 20);
    assert.deepEqual(
      [error.error.code, error.status, error.metadata.state],
      ['GEN_002', 'failed', 'timeout'],
    );
  });
});

suite('versions', () => {
  test('NOOB-158 NOOB-160 NOOB-157 a message of 1.0 is answered in its form, with the end of that version announced', async () => {
    const { task_id: _, correlation_id: __, ...rest } = message('agent.execute', { query: 'q' });
    const old = { ...rest, schema_version: '1.0', type: 'agent.execute' };
    const sent = await boss.send('nooble', old, '?wait=10');
    assert.equal(sent.status, 202, JSON.stringify(sent.body));
    assert.deepEqual([sent.body.reply.type, sent.body.reply.schema_version], ['agent.response', '1.0']);
    assert.match(sent.headers.get('deprecation') ?? '', /^@\d+$/);
    assert.ok(Date.parse(sent.headers.get('sunset') ?? '') > 0);
    const major = await refused(boss, { ...message('agent.execute', { query: 'q' }), schema_version: '2.0' });
    assert.equal(major.body.code, 'VAL_001');
    assert.deepEqual(major.body.details.supported_versions, ['1.1', '1.0']);
  });

  test('NOOB-161 the front page lists versions, pairs, services, queues, codes, schemas and limits', async () => {
    const { body } = await boss.ask('GET', '/protocols/nooble');
    assert.deepEqual(
      body.versions.map((one: Loose) => one.version),
      ['1.1', '1.0'],
    );
    assert.ok(body.pairs.some((one: Loose) => one.pair === 'agent.execute' && one.to === 'agent_execution'));
    assert.ok(body.services.includes('workflow_engine'));
    assert.ok(body.queues.tool_registry.includes('tool_registry:results:{tenant_id}:{session_id}'));
    assert.equal(body.error_catalogue.VAL_002.message.es, 'Campo requerido ausente');
    assert.equal(body.limits.message_bytes, 1_048_576);
    assert.deepEqual(body.operations.chat, { timeout_ms: 30_000, priority: 1 });
    const schema = await boss.ask('GET', '/protocols/nooble/schemas/agent.execute');
    assert.ok(schema.body.required.includes('payload'));
    assert.equal((await boss.ask('GET', '/docs/errors/WF_005')).status, 200);
  });
});

suite('queues', () => {
  test('NOOB-107 NOOB-106 a message is found under every name of its queue, and taken by one it is gone from all', async () => {
    const service = await post.register('shop');
    const note = message('agent.notify', { n: 1 }, { target_service: 'shop', priority: 1 });
    await boss.send('nooble', note);
    assert.deepEqual(await service.read('nooble', 'shop.low.agent.notify'), []);
    assert.deepEqual(await service.read('nooble', 'shop.workflow'), []);
    const [found] = await service.read('nooble', 'shop.high.agent.notify');
    assert.equal(found?.message.message_id, note.message_id);
    for (const name of ['shop', 'shop:tasks:default', 'shop.agent.notify', 'shop.high.agent'])
      assert.deepEqual(await service.read('nooble', name), [], name);
    assert.equal((await service.settle('nooble', 'shop', found?.delivery_id)).status, 'done');
  });

  test('NOOB-104 results of a service are in its queue of results, those of tools by session', async () => {
    const session = `s-${newId()}`;
    const ask = message('tool.execute', { tool_name: 'nope' }, { session_id: session });
    const good = message(
      'tool.execute',
      { tool_name: 'data_analysis', parameters: { date_range: 'Q1' } },
      { session_id: session },
    );
    await boss.send('nooble', [ask, good]);
    const [result] = await post.admin.read('nooble', `tool_registry:results:default:${session}`, {
      wait: 10,
    });
    assert.equal(result?.message.task_id, good.task_id);
    assert.equal(result?.message.type.action, 'result');
  });

  test('NOOB-108 every dead letter of the tenant is in orchestrator:dlq, with its queue and reason', async () => {
    const service = await post.register('grumpy');
    await boss.send('nooble', message('agent.notify', {}, { target_service: 'grumpy' }));
    const [got] = await service.read('nooble', 'grumpy');
    await service.settle('nooble', 'grumpy', got?.delivery_id, { outcome: 'reject', reason: 'no' });
    const dead = await post.admin.read('nooble', 'orchestrator:dlq:default', { max: 100 });
    const mine = dead.find(one => one.message?.message_id === got?.message.message_id);
    assert.equal(mine?.reason, 'rejected_by_receiver');
    assert.match(mine?.queue, /grumpy/);
    const listed = await post.admin.ask(
      'GET',
      '/protocols/nooble/dead-letters?inbox=orchestrator:dlq:default',
    );
    assert.equal(listed.body.dead_letters.length, dead.length);
    assert.equal((await service.ask('GET', '/protocols/nooble/inbox/orchestrator:dlq:default')).status, 403);
  });
});

suite('other wires', () => {
  test('what comes by another wire to an agent of this one reads sensibly', async () => {
    const ann = await post.register('ann');
    const worker = await post.register('nooble-worker', { types: ['custom:toy'] });
    const work = { id: `toy-${newId()}`, type: 'work', from: 'ann', to: 'nooble-worker', text: { n: 2 } };
    assert.equal((await ann.send('toy', work)).status, 202);
    const [got] = await worker.read('nooble', 'nooble-worker', { wait: 10 });
    assert.deepEqual(got?.message.type, { domain: 'agent', action: 'execute' });
    assert.deepEqual(got?.message.payload.input, { n: 2 });
    assert.equal(got?.message.task_id, work.id);
    await worker.settle('nooble', 'nooble-worker', got?.delivery_id);
    const task = await taskOf(post, work.id);
    assert.equal(task.current_status.state, 'running');
  });
});
