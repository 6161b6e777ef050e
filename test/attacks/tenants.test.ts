import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { isStream, type Operation } from '../e2e/contract.ts';
import { hire, statusOf, submit, taskOf } from '../e2e/crew.ts';
import { dialectsOf, letterIn, penfriend, sendLetters } from '../e2e/letters.ts';
import { eventsOf } from '../e2e/stream.ts';
import { type Answer, bearer, keyHeaders } from '../e2e/wire.ts';
import type { Loose } from '../serve.ts';
import { asking, filled, furnished, idsFor, MISSING, OWNED } from './furnished.ts';

const scene = await furnished();
after(() => scene.stop());
const { owner, rival, ids, lease } = scene;
const { operations } = owner.contract;
const protectedOnes = operations.filter(one => one.spec.security.length > 0);
const byId = protectedOnes.filter(one => one.path.includes('{'));
/** Routes that write under a name the caller chooses: another tenant's thing of that name is not in the way. */
const CREATING = new Set([
  'PUT /api/v2/secrets/{name}',
  'PUT /api/v2/workflows/{workflow_id}',
  'POST /api/v2/agents/{agent_id}/keys',
]);
/** Routes whose path names nothing that is anybody's, or of whose name there may be things or none: both answers are the same 200. */
const NOBODYS = new Set([
  'GET /api/v2/agents/{agent_id}/keys',
  'POST /protocols/blog/validate/{kind}',
  'GET /protocols/task/inbox/{name}',
  'POST /protocols/task/inbox/{name}/ack',
]);
/** Lists for whoever runs the house: nobody else gets anything of them. */
const LANDLORDS = new Set(['/api/v2/nodes', '/api/v2/canaries']);
const dialects = dialectsOf(owner.contract);
const nameOf = ({ method, path }: Operation): string => `${method} ${path}`;

/** An answer without what differs between any two requests, and with the ids it was asked for put out of sight. */
function faceOf({ status, headers, body }: Answer, asked: readonly string[]): unknown {
  if (typeof body !== 'object') return { status, body };
  const own = new Set(['timestamp', 'trace_id', 'traceId']);
  let text = JSON.stringify(body, (name, value) => (own.has(name) ? undefined : value));
  text = text.replaceAll(headers.get('x-request-id') ?? '', '<request>');
  // One of the wires calls an agent-of-ours agent_of_ours.
  for (const id of asked)
    text = text.replace(new RegExp(`(?<![\\w.-])${id.replaceAll('-', '[-_]')}(?![\\w-])`, 'g'), '<id>');
  return { status, body: JSON.parse(text) };
}

/** What changes by itself as time goes by. */
const FLEETING = /^(?:days|last_used_at|seen_at|estimated_.*|percentage|execution_time|remaining.*)$/;

/** Everything the owner can see of its things. */
async function inventory(): Promise<unknown> {
  const seen: Record<string, unknown> = {};
  for (const operation of byId) {
    // Whoever reads an inbox takes what is in it.
    if (operation.method !== 'GET' || isStream(operation) || operation.path.includes('/inbox/')) continue;
    const { status, body } = await owner.get(filled(operation, ids), { expect: null });
    seen[operation.path] = [status, status === 200 ? body : null];
  }
  for (const dialect of dialects) {
    const { body: health } = await owner.get(`/protocols/${dialect}/health`);
    seen[dialect] = health.inboxes;
    for (const list of ['dead-letters', 'subscriptions'])
      seen[`${dialect} ${list}`] = (await owner.get(`/protocols/${dialect}/${list}`)).body;
  }
  for (const path of ['agents', 'secrets', 'jwt-keys', 'tenants', 'api-keys', 'artifacts'])
    seen[path] = idsIn((await owner.get(`/api/v2/${path}`)).body);
  return JSON.parse(JSON.stringify(seen, (name, value) => (FLEETING.test(name) ? undefined : value)));
}

function idsIn(body: Loose): unknown {
  const things = Object.values(body).find(Array.isArray) ?? [];
  return things.map((one: Loose) => [one.agent_id ?? one.name ?? one.kid ?? one.tenant_id, one.health]);
}

suite('lists and filters', () => {
  const lists = protectedOnes.filter(
    one => one.method === 'GET' && !one.path.includes('{') && !isStream(one),
  );

  test('SAM-5 show nothing of the owner’s on any route', async () => {
    assert.ok(lists.length >= 10);
    for (const { path } of lists) {
      const { body } = await rival.get(path, LANDLORDS.has(path) ? { expect: 403 } : {});
      assert.doesNotMatch(JSON.stringify(body), /owned-/, path);
      const secret = Object.values(ids).filter(id => !Object.values(MISSING).includes(id));
      for (const id of secret) assert.ok(!JSON.stringify(body).includes(`"${id}"`), `${path} ${id}`);
    }
  });

  test('SAM-5 filtered by the owner’s ids, answer as for ids that never were', async () => {
    const values: Record<string, string> = {
      task_ids: OWNED.task,
      task_id: OWNED.task,
      agent_id: 'owned-boss',
      session_id: OWNED.session,
      user_id: 'owned-user',
      correlation_id: 'owned-correlation',
      name: OWNED.artifact,
      endpoint: scene.mailbox.url,
      principal: `key:${scene.house.server.credentials.api_key}`,
      object: OWNED.secret,
    };
    const asked: string[] = [];
    for (const { path, spec } of lists)
      for (const { name, in: where } of spec.parameters) {
        const value = values[name];
        if (where !== 'query' || value === undefined) continue;
        asked.push(name);
        const [theirs, never] = await Promise.all(
          [value, 'never-was'].map(one =>
            rival.get(`${path}?${name}=${encodeURIComponent(one)}`, { expect: null }),
          ),
        );
        assert.ok(theirs !== undefined && never !== undefined);
        assert.deepEqual(faceOf(theirs, [value]), faceOf(never, ['never-was']), `${path} ${name}`);
      }
    assert.deepEqual([...new Set(asked)].sort(), Object.keys(values).sort());
  });

  test('SAM-5 SAM-65 the rival’s event stream tells of the rival’s tasks alone', async () => {
    const worker = await hire(rival, 'rival-kind');
    const seen: Loose[] = [];
    const reading = (async () => {
      for await (const { event, data } of eventsOf(rival, '/api/v2/task-events?from=start')) {
        seen.push(data);
        if (event === 'task_completed') return;
      }
    })();
    await submit(owner, taskOf('owned-noise', OWNED.kind));
    await submit(rival, taskOf('rival-task', 'rival-kind'));
    await worker.complete(await worker.lease(), null);
    await reading;
    assert.deepEqual([...new Set(seen.map(one => one.task_id))], ['rival-task']);
    await owner.post('/api/v2/tasks/owned-noise/cancel');
  });
});

suite('another tenant’s ids', () => {
  test('SAM-5 answer on every route exactly like ids that never were, and nothing of the owner’s changes', async () => {
    assert.ok(byId.length > 20);
    const before = await inventory();
    for (const operation of byId) {
      // Pipes go by the fencing token in the request, as the tests of stolen tokens do.
      if (CREATING.has(nameOf(operation)) || operation.path.startsWith('/api/v2/work/')) continue;
      const [theirs, never] = [filled(operation, ids), filled(operation, MISSING)];
      const real = await rival.ask(operation.method, theirs, asking(operation));
      const none = await rival.ask(operation.method, never, asking(operation));
      const expected = NOBODYS.has(nameOf(operation)) ? 200 : 404;
      assert.equal(real.status, expected, `${nameOf(operation)}: ${JSON.stringify(real.body)}`);
      const [mine, nobodys] = [idsFor(operation, ids), idsFor(operation, MISSING)];
      assert.deepEqual(faceOf(real, mine), faceOf(none, nobodys), nameOf(operation));
      const headersOf = ({ headers }: Answer): string[] => [...headers.keys()].sort();
      assert.deepEqual(headersOf(real), headersOf(none), nameOf(operation));
    }
    assert.deepEqual(await inventory(), before);
  });

  test('SAM-5 written over under the same name, the owner’s secret keeps its value', async () => {
    await rival.ask('PUT', `/api/v2/secrets/${OWNED.secret}`, { body: { value: 'of the rival' } });
    const config = { execution_config: { environment: { secrets: [OWNED.secret] } } };
    await submit(owner, taskOf('reads-secret', OWNED.kind, config));
    const mine = await scene.worker.lease();
    assert.deepEqual(mine.secrets, { [OWNED.secret]: 'owned-value' });
    await scene.worker.complete(mine, null);
    await rival.ask('DELETE', `/api/v2/secrets/${OWNED.secret}`);
    assert.equal((await owner.get('/api/v2/secrets')).body.total, 1);
  });
});

suite('another tenant’s ids in bodies', () => {
  test('SAM-5 SAM-35 SAM-34 tasks, secrets and workers of the owner are unknown to the rival’s tasks', async () => {
    await hire(rival, 'rival-kind');
    for (const [theirs, never] of [
      [{ depends_on: [OWNED.ended] }, { depends_on: ['never-was'] }],
      [{ environment: { secrets: [OWNED.secret] } }, { environment: { secrets: ['never-was'] } }],
    ]) {
      const [real, none] = await Promise.all(
        [theirs, never].map((execution_config, n) =>
          submit(rival, taskOf(`rival-uses-${n}`, 'rival-kind', { execution_config }), { expect: 422 }),
        ),
      );
      assert.ok(real !== undefined && none !== undefined);
      assert.equal(real.body.error.code, none.body.error.code);
      const worded = ({ body }: Answer): string => body.error.message.replace(/owned-\w+|never-was/, '<id>');
      assert.equal(worded(real), worded(none));
    }
    await submit(rival, taskOf('rival-borrows', OWNED.kind), { expect: 422 });
  });

  test('SAM-38 previous tasks of another tenant give nothing away', async () => {
    const worker = await hire(rival, 'rival-reads');
    const context = { previous_tasks: [OWNED.ended] };
    await submit(rival, taskOf('rival-reads', 'rival-reads', { context }));
    const mine = await worker.lease();
    assert.doesNotMatch(JSON.stringify(mine), /owned-output/);
    await worker.complete(mine, null);
  });

  test('SAM-5 SAM-133 a stolen fencing token is of no use in another tenant', async () => {
    const { task_id, fencing_token } = lease;
    const ref = { task_id, fencing_token };
    const said = {
      agent_id: OWNED.agent,
      types: [`custom:${OWNED.kind}`],
      slots: 10,
      results: [{ ...ref, status: 'completed', output: 'stolen' }],
      progress: [{ ...ref, percentage: 90 }],
      logs: [{ ...ref, message: 'stolen' }],
      heartbeats: [ref],
    };
    const { body } = await rival.post('/api/v2/work', said);
    assert.deepEqual([body.leases, body.extensions], [[], []]);
    assert.ok(body.rejected.length >= 3);
    const upload = `/api/v2/artifacts?name=x&task_id=${task_id}&fencing_token=${fencing_token}`;
    await rival.ask('POST', upload, { raw: 'x', headers: { 'content-type': 'text/plain' }, expect: 404 });
    const { current_status: now } = await statusOf(owner, OWNED.task);
    assert.deepEqual([now.state, now.progress.estimated], ['running', true]);
    const { body: agents } = await owner.get('/api/v2/agents');
    assert.ok(agents.agents.some((one: Loose) => one.agent_id === OWNED.agent));
  });

  test('SAM-5 of the owner’s users the rival is told nothing, and takes nothing of theirs away', async () => {
    for (const path of ['/api/v2/privacy/export', '/api/v2/privacy/erase']) {
      const [real, none] = [
        await rival.post(path, { user_id: 'owned-user' }),
        await rival.post(path, { user_id: 'never-was' }),
      ];
      assert.deepEqual(faceOf(real, ['owned-user']), faceOf(none, ['never-was']), path);
    }
    const { body } = await owner.post('/api/v2/privacy/export', { user_id: 'owned-user' });
    assert.ok(body.tasks.length > 0);
  });

  test('SAM-5 mail of the owner is none of the rival’s in any wire, though it uses the same names', async () => {
    await sendLetters(rival, { tenant: 'rival', from: OWNED.writer, to: OWNED.reader, text: 'of the rival' });
    for (const dialect of dialects) {
      const prefix = `/protocols/${dialect}`;
      const letter = Number(ids[`${prefix}/dead-letters/{id}`]);
      const { body: replay } = await rival.post(`${prefix}/dead-letters/replay`, { ids: [letter] });
      assert.deepEqual(replay.replayed, [], dialect);

      const inbox = `${prefix}/inbox/${penfriend(OWNED.reader, dialect)}`;
      const { body: mail } = await owner.get(inbox);
      const mine = mail.messages.find((one: Loose) => JSON.stringify(one).includes(OWNED.words));
      assert.ok(mine !== undefined, `${dialect}: ${JSON.stringify(mail)}`);
      const verdict = { items: [{ delivery_id: mine.delivery_id, outcome: 'ack' }] };
      const { body: stolen } = await rival.post(`${inbox}/ack`, verdict);
      assert.equal(stolen.results[0].status, 'rejected', dialect);
      const { body: done } = await owner.post(`${inbox}/ack`, verdict);
      assert.equal(done.results[0].status, 'done', JSON.stringify(done));

      const { body: theirs } = await rival.get(inbox);
      assert.doesNotMatch(JSON.stringify(theirs), new RegExp(OWNED.words), dialect);
      assert.match(JSON.stringify(theirs), /of the rival/, dialect);
    }
  });

  test('SAM-5 a subscription of the rival under the owner’s name is told of the rival’s messages alone', async () => {
    for (const dialect of dialects) {
      const id = ids[`/protocols/${dialect}/subscriptions/{id}`] ?? '';
      await rival.post(`/protocols/${dialect}/subscriptions`, { id, types: ['*'] });
      const letter = { from: penfriend(OWNED.writer, dialect), to: penfriend(OWNED.reader, dialect) };
      const sending = (text: string, tenant: string): object =>
        letterIn(dialect, { ...letter, text, tenant, id: `told-${tenant}-${dialect}` });
      await owner.post(`/protocols/${dialect}/messages`, sending(OWNED.words, 'default'));
      await rival.post(`/protocols/${dialect}/messages`, sending('to be told', 'rival'));
      for await (const { data } of eventsOf(rival, `/protocols/${dialect}/subscriptions/${id}/stream`)) {
        const text = JSON.stringify(data);
        assert.doesNotMatch(text, new RegExp(OWNED.words));
        if (text.includes('to be told')) break;
      }
      const { body } = await owner.get(`/protocols/${dialect}/subscriptions`);
      assert.deepEqual(
        body.subscriptions.map((one: Loose) => one.id),
        [id],
      );
    }
  });

  test('SAM-5 SAM-17 the rival revokes none of the owner’s tokens, by token or by jti', async () => {
    const { body: key } = await owner.post('/api/v2/api-keys', { name: 'k', permissions: ['task:read'] });
    const trade = { grant_type: 'client_credentials' };
    const { body: pair } = await owner.as(keyHeaders(key)).post('/api/v2/auth/token', trade);
    const [, payload = ''] = pair.access_token.split('.');
    const { jti } = JSON.parse(Buffer.from(payload, 'base64url').toString());
    for (const body of [{ token: pair.access_token }, { token: pair.refresh_token }, { jti }])
      await rival.post('/api/v2/auth/revoke', body);
    await owner.as(bearer(pair.access_token)).get('/api/v2/agents');
    await owner.as({}).post('/api/v2/auth/refresh', { refresh_token: pair.refresh_token });
  });

  test('SAM-5 ids are each tenant’s own: the rival may use the owner’s without either noticing', async () => {
    const worker = await hire(rival, 'same', OWNED.agent);
    await submit(rival, taskOf(OWNED.task, 'same'));
    const mine = await worker.lease();
    await worker.complete(mine, 'the rival’s');
    assert.equal((await statusOf(rival, OWNED.task)).execution_details.output, 'the rival’s');
    assert.equal((await statusOf(owner, OWNED.task)).current_status.state, 'running');
    const { body } = await owner.get('/api/v2/artifacts');
    await rival.ask('POST', `/api/v2/artifacts?name=${OWNED.artifact}`, {
      raw: 'owned-bytes',
      headers: { 'content-type': 'text/plain' },
    });
    await rival.ask('DELETE', `/api/v2/artifacts/${OWNED.artifact}`);
    const { body: kept } = await owner.get(`/api/v2/artifacts/${OWNED.artifact}`);
    assert.deepEqual([kept, body.total], ['owned-bytes', (await owner.get('/api/v2/artifacts')).body.total]);
  });
});
