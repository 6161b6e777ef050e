// The table of what is wrong with a message, each row provoked through a whole server: what happens, the status, the code.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { after, before, suite, test } from 'node:test';
import { type Answered, type Correspondent, correspondent, openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { createToyDialect } from '../../../test/toy-dialect.ts';
import { DomainError } from '../../domain/errors.ts';
import type { Message } from '../../domain/message.ts';
import type { Store } from '../../store/store.ts';
import { asked, message, newId, orchestrator, refused, until } from './fixture.test.ts';
import { refusalOf } from './replies.ts';

let post: Post;
let boss: Correspondent;
let far: Server;
let store: Store;
/** Tasks of a tenant that may wait. */
const QUEUE_MAX = 20;
/** What endpoints at the far end answer, by path. */
const answers: Readonly<Record<string, readonly [number, string]>> = {
  '/down': [503, 'Service Unavailable, password=hunter22'],
  '/bad': [500, 'oops'],
  '/v1/chat/completions': [500, '{"error":{"message":"out of order"}}'],
};

before(async () => {
  far = createServer((request, response) => {
    request.resume();
    const [status, body] = answers[request.url ?? ''] ?? [404, ''];
    // What is not known never answers.
    if (request.url === '/silent') return;
    response.writeHead(status, { 'content-type': 'application/json' }).end(body);
  }).listen(0, '0.0.0.0');
  await once(far, 'listening');
  post = await openPost(
    {
      ...{ BATUTA_MODEL_URL: `${urlOf(far)}/v1`, BATUTA_MODEL: 'writer' },
      ...{ BATUTA_ALLOW_PRIVATE_TARGETS: '127.0.0.0/8', BATUTA_QUEUE_MAX: String(QUEUE_MAX) },
    },
    {
      dialects: [
        hands => {
          store = hands.store;
          return createToyDialect(hands);
        },
      ],
    },
  );
  boss = await orchestrator(post);
  const admin = await post.agent('agent_orchestrator', { permissions: ['admin'] });
  await post.register('sleeper');
  // Each host has a breaker, so that what fails by one spoils nothing for the others.
  const hosts = { down: urlOf(far), bad: urlOf(far, '127.0.0.2'), silent: urlOf(far, 'localhost') };
  for (const [name, host] of Object.entries(hosts))
    await asked(admin, message('tool.update', { name, endpoint: `${host}/${name}` }));
});
after(async () => {
  await post.stop();
  far.closeAllConnections();
  far.close();
});

function urlOf(server: Server, host = '127.0.0.1'): string {
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return `http://${host}:${address.port}`;
}

/** Whoever administers a new tenant. */
async function tenantOf(id: string): Promise<Correspondent> {
  const { body } = await post.admin.ask('POST', '/api/v2/tenants', { tenant_id: id, name: id });
  return correspondent(post.url, { 'x-api-key': body.api_key, 'x-api-secret': body.api_secret });
}

/** A refusal as the table has it; the body says the same as the status line. */
function row({ status, body }: Answered): readonly [number, string] {
  assert.equal(body.details.http_status, status, JSON.stringify(body));
  return [status, body.code];
}

const query = (more: Loose = {}): Loose => message('agent.execute', { query: 'q' }, more);

suite('NOOB-145', () => {
  const cases: Readonly<Record<string, readonly [() => unknown, string]>> = {
    'not an object': [() => 7, 'VAL_001'],
    'a pair that is none': [() => message('agent.dance', {}), 'VAL_001'],
    'a major version that is not spoken': [() => query({ schema_version: '2.0' }), 'VAL_001'],
    'a field that is missing': [() => query({ correlation_id: undefined }), 'VAL_002'],
    'a field of the wrong type': [() => query({ payload: [] }), 'VAL_003'],
    'a field of the wrong format': [() => query({ created_at: 'yesterday' }), 'VAL_003'],
  };
  for (const [what, [made, code]] of Object.entries(cases))
    test(`NOOB-145 ${what} gets 400 and ${code}`, async () => {
      const one = made() as Loose;
      assert.deepEqual(row(await refused(boss, one)), [400, code]);
    });
});

suite('NOOB-149', () => {
  test('NOOB-149 an id, a key or a task used otherwise gets 409 and VAL_005', async () => {
    const first = query({ metadata: { idempotency_key: newId() } });
    await asked(boss, first);
    const other = { query: 'otherwise' };
    assert.deepEqual(row(await refused(boss, { ...first, payload: other })), [409, 'VAL_005']);
    const key = { ...first, message_id: newId(), task_id: newId(), payload: other };
    assert.deepEqual(row(await refused(boss, key)), [409, 'VAL_005']);
    const task = { ...query(), task_id: first.task_id, payload: other };
    assert.deepEqual(row(await refused(boss, task)), [409, 'VAL_005']);
  });

  test('NOOB-149 an immutable field changed gets 409 and VAL_005', async () => {
    const first = query();
    await asked(boss, first);
    for (const change of [{ correlation_id: newId() }, { created_at: '2026-01-01T00:00:00.000Z' }])
      assert.deepEqual(row(await refused(boss, { ...first, ...change })), [409, 'VAL_005']);
  });

  test('NOOB-149 a change its state forbids gets 409 and WF_005', async () => {
    const first = query();
    await asked(boss, first);
    const { task_id, correlation_id } = first;
    const pause = message('agent.update', { command: 'pause' }, { task_id, correlation_id });
    assert.deepEqual(row(await refused(boss, pause)), [409, 'WF_005']);
  });

  test('NOOB-149 a delivery that is not held any more gets 409 and WF_005', async () => {
    const reader = await post.register('late-reader');
    await boss.send('nooble', message('agent.notify', {}, { target_service: 'late-reader' }));
    const [first] = await reader.read('nooble', 'late-reader', { visibility: 1 });
    const [again] = await reader.read('nooble', 'late-reader', { wait: 10 });
    assert.notEqual(again?.delivery_id, first?.delivery_id);
    const { error } = await reader.settle('nooble', 'late-reader', first?.delivery_id);
    assert.deepEqual([error.details.http_status, error.code], [409, 'WF_005']);
  });
});

/** An error that came after a message was taken, as the table has it. */
function told({ error, metadata, status, type }: Loose): readonly [number, string] {
  assert.deepEqual([status, type.action, metadata.error_code], ['failed', 'error', error.code]);
  return [error.details.http_status, error.code];
}

const runs = (name: string, more: Loose = {}): Loose =>
  message('tool.execute', { tool_name: name, parameters: {} }, more);

suite('NOOB-151', () => {
  test('NOOB-151 over its rate it gets 429 and GEN_003 with Retry-After', async () => {
    const theirs = await tenantOf('hasty');
    const guardrails = { messages_per_minute: 6, messages_burst: 1 };
    await post.admin.ask('PATCH', '/api/v2/tenants/hasty', { options: { guardrails } });
    const note = () => message('agent.notify', {}, { tenant_id: 'hasty', target_service: 'conversation' });
    assert.equal((await theirs.send('nooble', note())).status, 202);
    const over = await refused(theirs, note());
    assert.deepEqual(row(over), [429, 'GEN_003']);
    assert.ok(Number(over.headers.get('retry-after')) > 0);
  });

  test('NOOB-151 where the queue of its tenant is full it gets 503 and GEN_003, and makes no task', async () => {
    const theirs = await tenantOf('crowded');
    const scheduled_for = new Date(Date.now() + 3_600_000).toISOString();
    const later = (): Loose => query({ tenant_id: 'crowded', metadata: { scheduled_for } });
    const { body } = await theirs.send('nooble', Array.from({ length: QUEUE_MAX }, later));
    assert.ok(body.results.every((one: Loose) => one.status === 'accepted'));
    const over = later();
    assert.deepEqual(row(await refused(theirs, over)), [503, 'GEN_003']);
    assert.equal((await theirs.ask('GET', `/api/v2/task-status/${over.task_id}`)).status, 404);
  });
});

suite('NOOB-152', () => {
  const rows: Readonly<Record<string, readonly [() => Loose, string]>> = {
    'a tool that is missing': [() => runs('nope'), 'AEX_003'],
    'a model that fails': [() => query(), 'AEX_004'],
    'a tool that fails': [() => runs('bad', { metadata: { timeout_ms: 60_000 } }), 'AEX_005'],
    'more tokens than the limit': [
      () => message('agent.execute', { query: 'palabra '.repeat(70_000) }),
      'AEX_002',
    ],
    'a task that takes too long': [
      () =>
        message(
          'agent.execute',
          { query: 'q', agent_config: { agent_id: 'sleeper' } },
          { metadata: { timeout_ms: 300 } },
        ),
      'GEN_002',
    ],
  };
  for (const [what, [made, code]] of Object.entries(rows))
    test(`NOOB-152 ${what} is told by ${code}, after the message was taken`, async () => {
      const [, found] = told(await asked(boss, made(), 20));
      assert.equal(found, code);
    });
});

suite('NOOB-153', () => {
  /** How a workflow of one step fails: a step is tried once. */
  async function failing(tool: string, seconds = 20): Promise<Loose> {
    const steps = [{ step_id: 'one', name: tool, step_type: 'tool_task', tool_name: tool }];
    const template = { template_id: `uses-${tool}`, version: '1.0', steps };
    const stored = await post.admin.ask('POST', '/protocols/nooble/workflow-templates', template);
    assert.equal(stored.status, 201);
    const start = message('workflow.start', {
      ...{ workflow_template_id: `uses-${tool}`, execution_mode: 'sync', timeout_seconds: seconds },
    });
    return asked(boss, start, 20);
  }

  test('NOOB-153 NOOB-91 NOOB-94 NOOB-95 a dependency that is down gets 502 and GEN_005, five times in a row open its breaker, and then it gets 503 and circuit_open', async () => {
    for (let failures = 1; failures <= 5; failures++) {
      const error = await failing('down');
      assert.deepEqual(told(error), [502, 'GEN_005']);
      const { error_details: details, recovery_options: options } = error.payload;
      assert.equal(details.dependency_service, new URL(urlOf(far)).host);
      assert.deepEqual([details.dependency_operation, details.status_code], ['down', 503]);
      assert.match(details.response, /Service Unavailable/);
      assert.ok(!JSON.stringify(error).includes('hunter22'));
      const { retry_after_seconds: after, ...standing } = options.circuit_breaker;
      assert.deepEqual(standing, {
        ...{ status: failures < 5 ? 'closed' : 'open', failure_threshold: 5 },
        current_failures: failures,
      });
      assert.ok(failures < 5 ? after === 0 : after > 20 && after <= 30);
      assert.equal(error.metadata.recovery_action, failures < 5 ? 'retry' : 'circuit-breaker');
    }
    const open = await failing('down');
    assert.deepEqual(told(open), [503, 'circuit_open']);
    assert.equal(open.payload.recovery_options.circuit_breaker.status, 'open');
    assert.equal(open.metadata.recovery_action, 'circuit-breaker');
  });

  test('NOOB-153 a dependency that does not answer in time gets 504 and GEN_002', async () => {
    const error = await failing('silent', 3);
    assert.deepEqual(told(error), [504, 'GEN_002']);
    assert.equal(error.payload.error_details.dependency_operation, 'silent');
  });

  test('NOOB-153 a store that is away gets 503 and GEN_001, a fault inside 500 and GEN_004 that tells nothing of it', async () => {
    const { documents } = store;
    const fails = async (thrown: Error): Promise<Answered> => {
      store.documents = () => Promise.reject(thrown);
      try {
        return await refused(boss, message('workflow.start', { workflow_template_id: 'nope' }));
      } finally {
        store.documents = documents;
      }
    };
    assert.deepEqual(row(await fails(new DomainError('unavailable', 'no database'))), [503, 'GEN_001']);
    const inside = await fails(new Error('a secret of the house'));
    assert.deepEqual(row(inside), [500, 'GEN_004']);
    assert.ok(!JSON.stringify(inside.body).includes('a secret of the house'));
  });
});

suite('NOOB-155', () => {
  test('NOOB-155 what is refused at once is told by the answer alone, and nothing of it is in the inbox', async () => {
    const bad = message('agent.execute', {});
    await refused(boss, bad);
    const good = query();
    await boss.send('nooble', good);
    const seen = await until(boss, 'agent_orchestrator', one => one.task_id === good.task_id);
    assert.ok(!JSON.stringify(seen).includes(bad.message_id));
  });

  test('NOOB-155 NOOB-122 a refusal after acceptance reaches the sender’s inbox as an error that names the refused message, and none is sent about an error', async () => {
    await post.register('deaf');
    const to = { target_service: 'deaf' };
    const brief = (after: number) => ({
      metadata: { valid_until: new Date(Date.now() + after).toISOString() },
    });
    // The error expires first: had one been sent about it, it would be there before the other's.
    const error = message('agent.error', { error_details: {} }, { ...to, ...brief(400), status: 'failed' });
    const note = message('agent.notify', {}, { ...to, ...brief(900) });
    assert.equal((await boss.send('nooble', error)).status, 202);
    assert.equal((await boss.send('nooble', note)).status, 202);
    const seen = await until(
      boss,
      'agent_orchestrator',
      one => one.type.action === 'error' && one.correlation_id === note.correlation_id,
    );
    const told = seen.at(-1);
    assert.equal(told?.payload.error_details.refused_message_id, note.message_id);
    assert.deepEqual([told?.error.code, told?.target_service], ['GEN_002', 'agent_orchestrator']);
    const dead = await post.admin.ask('GET', '/protocols/nooble/dead-letters?reason=expired');
    assert.ok(JSON.stringify(dead.body).includes(error.message_id));
    assert.ok(!JSON.stringify(seen).includes(error.message_id));
  });

  test('NOOB-155 an error that is refused late is answered by nothing, anything else by an error', () => {
    const { envelope, ...draft } = {
      ...{ tenant: 'default', id: newId(), dialect: 'nooble', correlationId: newId(), traceId: 't' },
      envelope: query(),
    };
    const as = (action: string) =>
      refusalOf(
        {
          ...draft,
          type: `agent.${action}`,
          envelope: { ...envelope, type: { domain: 'agent', action } },
        } as unknown as Message,
        new DomainError('unavailable', 'later'),
        0,
      );
    assert.equal(as('error'), null);
    assert.equal(as('execute')?.type, 'agent.error');
  });
});
