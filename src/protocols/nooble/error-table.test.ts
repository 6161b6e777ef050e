// The table of what is wrong with a message, each row provoked through a whole server: what happens, the status, the code.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { after, before, suite, test } from 'node:test';
import { type Answered, type Correspondent, openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { createToyDialect } from '../../../test/toy-dialect.ts';
import { DomainError } from '../../domain/errors.ts';
import type { Store } from '../../store/store.ts';
import { asked, message, newId, orchestrator, refused, until } from './fixture.test.ts';

let post: Post;
let boss: Correspondent;
let far: Server;
let store: Store;
/** What endpoints at the far end answer, by path. */
const answers: Readonly<Record<string, readonly [number, string]>> = {
  '/down': [503, 'Service Unavailable, token=abcdefgh12345678'],
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
  }).listen(0, '127.0.0.1');
  await once(far, 'listening');
  post = await openPost(
    { BATUTA_MODEL_URL: `${urlOf(far)}/v1`, BATUTA_MODEL: 'writer' },
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
  for (const name of ['down', 'bad', 'silent'])
    await asked(admin, message('tool.update', { name, endpoint: `${urlOf(far)}/${name}` }));
});
after(async () => {
  await post.stop();
  far.closeAllConnections();
  far.close();
});

function urlOf(server: Server): string {
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return `http://127.0.0.1:${address.port}`;
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
