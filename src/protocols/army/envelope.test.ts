// Envelopes through the door of a server: what is taken in, what is refused and why, and how it comes out at the other end.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Player, player, playing } from '../../../test/army-stage.ts';
import { eventually } from '../../../test/eventually.ts';
import { openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { bodyCheck } from '../validation.ts';
import { MESSAGES } from './schemas.ts';
import { QUERY_TYPES, ROLES, RULES, TYPES, type Type } from './words.ts';

suite('envelopes', () => {
  let post: Post;
  let boss: Player;
  let ann: Player;
  before(async () => {
    post = await openPost();
    boss = await player(post, 'supervisor', 'boss');
    ann = await player(post, 'writer', 'ann', ['write']);
  });
  after(() => post.stop());

  const note = (more: object = {}): Loose => ({
    ...boss.envelope('coordination', 'writer:ann', { action: 'note' }),
    ...more,
  });
  const refused = async (
    envelope: unknown,
    status = 400,
    code = 'VALIDATION_ERROR',
  ): Promise<readonly string[]> => {
    const answer = await boss.who.send('army', envelope);
    assert.deepEqual(
      [answer.status, answer.body.error_code],
      [status, code],
      JSON.stringify([envelope, answer.body]),
    );
    return (answer.body.context.errors ?? []).map((one: Loose) => one.field).sort();
  };
  const passed = async (envelope: Loose): Promise<Loose> => {
    const answer = await boss.who.send('army', envelope);
    assert.equal(answer.status, 202, JSON.stringify(answer.body));
    return ann.next();
  };

  test('ARMY-1 ARMY-116 what is missing or of the wrong form is refused with every path, and only a heartbeat may say nothing', async () => {
    assert.deepEqual(await refused({}), ['from', 'id', 'payload', 'timestamp', 'to', 'type']);
    const { payload: _, ...silent } = note();
    assert.deepEqual(await refused(silent), ['payload']);
    assert.deepEqual(await refused(note({ payload: {} })), ['payload']);
    assert.deepEqual(await refused(note({ payload: 'text' })), ['payload']);
    assert.deepEqual(await refused(note({ payload: [1] })), ['payload']);
    const bad = note({
      ...{ id: 'no spaces', timestamp: 'yesterday', from: 'boss', to: [], encryption: 'rot13' },
      metadata: { priority: 'urgent', retry_count: -1, deadline: 'soon', tags: [1] },
      ...{ correlation_id: '', payload: { no: 'action' } },
    });
    assert.deepEqual(await refused(bad), [
      ...['correlation_id', 'encryption', 'from', 'id'],
      ...['metadata.deadline', 'metadata.priority', 'metadata.retry_count', 'metadata.tags.0'],
      ...['payload.action', 'timestamp', 'to'],
    ]);
    for (const payload of [undefined, {}, { load: 1 }])
      assert.equal((await ann.say('heartbeat', 'coordinator', payload)).status, 202);
    assert.deepEqual(await refused(note({ type: 'gossip' })), ['type']);
    assert.equal((await boss.who.send('army', 'no object')).status, 400);
  });

  test('ARMY-2 ids of the canonical set up to 200 characters are taken, and what the server says itself bears UUIDs', async () => {
    const id = `${'A.b_c:-9'.repeat(25)}`;
    assert.equal(id.length, 200);
    assert.equal((await passed(note({ id }))).id, id);
    assert.deepEqual(await refused(note({ id: `${id}x` })), ['id']);
    await boss.tell('status_query', 'coordinator', { scope: 'system' });
    const said = await boss.next('status_response');
    assert.match(said.id, /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test('ARMY-3 instants of any offset and precision are taken, and sent on in UTC with milliseconds', async () => {
    const year = new Date().getUTCFullYear() + 1;
    const got = await passed(
      note({
        timestamp: `${year}-01-01T14:00:00.123456+02:00`,
        metadata: { priority: 'low', deadline: `${year}-06-01T00:00Z` },
      }),
    );
    assert.deepEqual(
      [got.timestamp, got.metadata.deadline],
      [`${year}-01-01T12:00:00.123Z`, `${year}-06-01T00:00:00.000Z`],
    );
  });

  test('ARMY-4 ARMY-11 to is one role or several, one delivery for each distinct one, all or none; another role is refused', async () => {
    const tool = await player(post, 'tool', 'to-tool');
    const to = ['writer:ann', 'tool:to-tool', 'writer:ann'];
    const [first, second] = [await passed(note({ to })), await tool.next()];
    assert.deepEqual([first.id === second.id, first.to], [true, ['writer', 'tool']]);
    assert.deepEqual([await ann.all(), await tool.all()], [[], []]);
    await refused(note({ to: ['writer:ann', 'tool:nobody'] }), 404, 'NOT_FOUND');
    assert.deepEqual(await ann.all(), []);
    for (const role of ['user', 'Writer', 'boss', ''])
      assert.deepEqual(await refused(note({ to: role })), ['to']);
    assert.deepEqual(await refused(note({ from: ['supervisor'] })), ['from']);
    for (const role of ROLES)
      assert.notEqual(
        (await boss.who.send('army', note({ to: role }))).body.error_code,
        'VALIDATION_ERROR',
        role,
      );
    await ann.all();
  });

  test('ARMY-5 a message without correlation_id gets that of the message it answers, else its own id', async () => {
    const first = await passed(note());
    assert.equal(first.correlation_id, first.id);
    await passed(note({ id: 'of-x', correlation_id: 'x' }));
    await ann.tell('status_response', 'supervisor', { status: 'fine' }, { reply_to: 'of-x' });
    const answer = await boss.next('status_response');
    assert.deepEqual([answer.correlation_id, answer.reply_to], ['x', 'of-x']);
  });

  test('ARMY-6 ARMY-7 ARMY-129 metadata keeps what it has, unknown members too, and always comes out with a priority', async () => {
    const more = { mood: 'good', metadata: { retry_count: 3, tags: ['a'], colour: 'blue' } };
    const got = await passed(note(more));
    assert.equal(got.mood, 'good');
    assert.deepEqual(
      [got.metadata.priority, got.metadata.retry_count, got.metadata.tags, got.metadata.colour],
      ['normal', 3, ['a'], 'blue'],
    );
    const { metadata: _, ...bare } = note();
    assert.equal((await passed(bare)).metadata.priority, 'normal');
    for (const priority of ['low', 'normal', 'high', 'critical'])
      assert.equal((await passed(note({ metadata: { priority } }))).metadata.priority, priority);
  });

  test('ARMY-7 ARMY-58 a heartbeat without priority is low', async () => {
    const head = await player(post, 'coordinator', 'beat-head');
    await new Promise(resolve => setTimeout(resolve, 600));
    await ann.tell('heartbeat', 'coordinator');
    assert.equal((await head.next('heartbeat')).metadata.priority, 'low');
    await ann.tell('heartbeat', 'coordinator', {}, { metadata: { priority: 'critical' } });
    await ann.tell('coordination', 'coordinator', { action: 'hm' }, { metadata: { priority: 'normal' } });
    assert.equal((await head.next()).type, 'coordination');
    await post.admin.ask('DELETE', '/api/v2/agents/beat-head');
  });

  test('ARMY-56 ARMY-57 put in reverse order, the critical come out first, then what has a deadline as high, the normal and the low', async () => {
    const deadline = new Date(Date.now() + 60_000).toISOString();
    const metas: readonly (readonly [string, object])[] = [
      ['low', { priority: 'low' }],
      ['normal', { priority: 'normal' }],
      ['lifted', { priority: 'low', deadline }],
      ['high', { priority: 'high' }],
      ['critical', { priority: 'critical', deadline }],
    ];
    for (const [id, metadata] of metas) {
      const { status } = await boss.who.send('army', note({ id: `order-${id}`, metadata }));
      assert.equal(status, 202);
    }
    const got = await ann.all();
    assert.deepEqual(
      got.map(({ id }) => id),
      ['order-critical', 'order-lifted', 'order-high', 'order-normal', 'order-low'],
    );
    assert.equal(got[1]?.metadata.priority, 'low');
  });

  test('ARMY-8 a message that wants TLS is taken on the machine itself, unknown encryption is refused', async () => {
    assert.equal((await passed(note({ encryption: 'tls' }))).encryption, 'tls');
    assert.equal((await passed(note({ encryption: 'none' }))).encryption, 'none');
    assert.deepEqual(await refused(note({ encryption: 'end-to-end' })), ['payload.jwe']);
  });

  test('ARMY-9 ARMY-80 ARMY-131 the front page lists fifteen types, roles, versions and limits, and each type’s schema is served; incoming payloads are held to theirs', async () => {
    const page = (await post.admin.ask('GET', '/protocols/army')).body;
    assert.deepEqual(page.types, [...TYPES]);
    assert.equal(page.types.length, 15);
    assert.deepEqual([page.roles, page.versions[0].version], [[...ROLES], '1.0.0']);
    assert.equal(page.default_settings.max_time, 'PT5M');
    for (const type of TYPES) {
      const { status, body } = await post.admin.ask('GET', `/protocols/army/schemas/${type}`);
      assert.deepEqual([status, body.title], [200, type]);
      assert.deepEqual(body.properties.type, JSON.parse(JSON.stringify(MESSAGES[type])).properties.type);
    }
    const wrong: Readonly<Partial<Record<Type, readonly [string, object]>>> = {
      memory_query: ['memory', { query: { type: 'guess', text: 'x' } }],
      memory_store: ['memory', { key: '', value: 1 }],
      status_query: ['coordinator', { scope: 'galaxy' }],
      shutdown: ['writer', { grace: 'PT1S' }],
    };
    for (const [type, [to, payload]] of Object.entries(wrong))
      await refused(boss.envelope(type, to, payload));
  });

  test('ARMY-28 ARMY-30 an unknown rule is refused naming the known ones, none means all, and the same input gets the same answer', async () => {
    const answer = await ann.say('validation_request', 'validator', {
      content: 'x',
      validation_rules: ['taste'],
    });
    assert.equal(answer.status, 400);
    for (const rule of RULES) assert.ok(JSON.stringify(answer.body).includes(rule));
    const verdicts: Loose[] = [];
    for (let n = 0; n < 2; n++) {
      await ann.tell('validation_request', 'validator', { content: '   ' });
      verdicts.push((await ann.next('validation_response')).payload);
    }
    assert.deepEqual(verdicts[0], verdicts[1]);
    assert.equal(verdicts[0]?.valid, false);
    assert.deepEqual(
      [verdicts[0]?.issues[0].rule, verdicts[0]?.issues[0].severity],
      ['quality_check', 'warning'],
    );
  });

  test('ARMY-35 ARMY-36 ARMY-38 ARMY-39 ARMY-40 ARMY-43 what is stored is answered with key, version and end, found by key and tags in its tenant alone, and gone after its time', async () => {
    const store = (key: string, more: object = {}): Promise<Loose> =>
      ann.say('memory_store', 'memory', { key, value: { n: 1 }, tags: ['a', 'b'], ...more });
    assert.equal((await store('k1')).status, 202);
    const first = (await ann.next('memory_response')).payload;
    assert.deepEqual(first, { key: 'k1', stored: true, version: 1, expires_at: null });
    await store('k1', { value: [2] });
    assert.equal((await ann.next('memory_response')).payload.version, 2);
    for (const ttl of ['PT0S', '-P1D', 'a week', 'P1Y'])
      assert.equal((await store('k2', { ttl })).status, 400, ttl);
    await store('k3', { ttl: 'PT0.3S' });
    await ann.next('memory_response');
    const find = async (query: object, more: object = {}): Promise<Loose> => {
      await ann.tell('memory_query', 'memory', { query, ...more });
      return (await ann.next('memory_response')).payload;
    };
    await eventually(async () => (await find({ type: 'key', text: 'k3' })).total === 0);
    assert.deepEqual((await find({ type: 'key', text: 'k1' })).results[0].value, [2]);
    assert.deepEqual(await find({ type: 'key', text: 'k2' }), { results: [], total: 0 });
    assert.equal(
      (await find({ type: 'tags' }, { filters: { tags: ['a', 'b'] }, limit: 1 })).results.length,
      1,
    );
    assert.equal((await find({ type: 'tags' }, { filters: { tags: ['a', 'c'] } })).total, 0);
    for (const limit of [0, 101])
      await refused(boss.envelope('memory_query', 'memory', { query: { type: 'tags' }, limit }));
    for (const type of QUERY_TYPES) {
      const found = await find({ type, text: type === 'tags' ? 'a, b' : 'k1' });
      assert.equal(found.results[0].key, 'k1', type);
      const { value: _, score, created_at: createdAt, ...rest } = found.results[0];
      assert.deepEqual(rest, { key: 'k1', tags: ['a', 'b'] });
      assert.ok(score > 0 && score <= 1 && Date.parse(createdAt) <= Date.now());
    }
    await refused(ann.envelope('memory_query', 'memory', { query: { type: 'guess', text: 'k1' } }), 400);
    const [early, late] = ['2020-01-01T00:00:00Z', '2200-01-01T00:00:00Z'];
    for (const [range, total] of [
      [{ to: early }, 0],
      [{ from: early }, 1],
      [{ from: early, to: late }, 1],
      [{ from: late }, 0],
    ] as const)
      assert.equal(
        (await find({ type: 'tags' }, { filters: { tags: ['a'], date_range: range } })).total,
        total,
      );
    const made = await post.admin.ask('POST', '/api/v2/tenants', { tenant_id: 'army-other', name: 'Other' });
    const { correspondent } = await import('../../../test/post.ts');
    const { api_key: key, api_secret: secret } = made.body;
    const stranger = playing(
      correspondent(post.url, { 'x-api-key': key, 'x-api-secret': secret }),
      'writer',
      'writer',
    );
    await stranger.tell('memory_query', 'memory', { query: { type: 'key', text: 'k1' } });
    assert.deepEqual((await stranger.next('memory_response')).payload, { results: [], total: 0 });
  });

  test('ARMY-38 ARMY-40 ARMY-41 a search by meaning gives the nearest first, as many as asked for of all there are, ten where nothing is said, the same each time', async () => {
    const texts = ['the cat sleeps on the sofa', 'interest rates rise in Europe', 'rain falls on the hills'];
    const all = [...texts, ...Array.from({ length: 9 }, (_, n) => `ledger entry number ${n}`)];
    for (const [n, value] of all.entries()) {
      await ann.tell('memory_store', 'memory', { key: `near-${n}`, value, tags: ['near'] });
      await ann.next('memory_response');
    }
    const find = async (text: string, more: object = {}): Promise<Loose> => {
      const query = { type: 'semantic_search', text };
      await ann.tell('memory_query', 'memory', { query, filters: { tags: ['near'] }, ...more });
      return (await ann.next('memory_response')).payload;
    };
    for (const [question, key] of [
      ['where do cats sleep', 'near-0'],
      ['European interest rate', 'near-1'],
      ['falling rain', 'near-2'],
    ] as const)
      assert.equal((await find(question)).results[0].key, key, question);
    const few = await find('entry in the ledger', { limit: 3 });
    assert.equal(few.results.length, 3);
    assert.ok(few.total >= 9);
    const scores = few.results.map((one: Loose) => one.score);
    assert.deepEqual(
      scores,
      scores.toSorted((one: number, other: number) => other - one),
    );
    assert.deepEqual(await find('entry in the ledger', { limit: 3 }), few);
    await ann.tell('memory_query', 'memory', { query: { type: 'tags', text: 'near' } });
    const ten = (await ann.next('memory_response')).payload;
    assert.deepEqual([ten.results.length, ten.total], [10, 12]);
  });

  test('ARMY-81 strings are used without control characters and turned writing, in NFC; tabs and lines stay', async () => {
    const got = await passed(
      note({ payload: { action: 'note', text: 'e\u0301\u0000\u202eabc\u0007\tx\ny' } }),
    );
    assert.equal(got.payload.text, '\u00e9abc\tx\ny');
    assert.deepEqual(await refused(note({ payload: { action: 'no\u0000te' }, signature: 'a..b' })), [
      'payload.action',
    ]);
  });

  test('ARMY-128 ARMY-129 every message comes out with a version, later minors are understood, another major is refused naming those spoken', async () => {
    assert.equal((await passed(note())).protocol_version, '1.0.0');
    assert.equal((await passed(note({ protocol_version: '1.7.2', novelty: 1 }))).novelty, 1);
    for (const protocol_version of ['2.0.0', '0.9.0', 'one']) {
      const answer = await boss.who.send('army', note({ protocol_version }));
      assert.equal(answer.status, 400);
      assert.deepEqual(answer.body.context.supported, ['1.0.0']);
    }
  });

  test('ARMY-126 what is refused after it was taken in reaches its sender as an error naming it, and no error is told about an error', async () => {
    await boss.tell('coordination', 'writer:ann', { action: 'unwanted' }, { id: 'unwanted' });
    const [delivery] = await ann.who.read('army', 'ann');
    await ann.who.settle('army', 'ann', delivery.delivery_id, { outcome: 'reject', reason: 'no thanks' });
    const told = await boss.next('error');
    assert.deepEqual([told.reply_to, told.payload.context.message_id], ['unwanted', 'unwanted']);
    assert.equal(bodyCheck(MESSAGES.error)(told), null);
    await ann.tell(
      'error',
      'supervisor',
      { error_code: 'X', message: 'x' },
      { id: 'about', reply_to: 'unwanted' },
    );
    const [error] = await boss.who.read('army', 'boss', { wait: 5 });
    assert.equal(error.message.id, 'about');
    await boss.who.settle('army', 'boss', error.delivery_id, { outcome: 'reject', reason: 'no' });
    await boss.tell('coordination', 'writer:ann', { action: 'after' });
    const next = await ann.next();
    assert.equal(next.payload.action, 'after');
  });

  test('ARMY-16 a validator and a supervisor may watch all messages of their tenant, a writer only its own', async () => {
    const val = await player(post, 'validator', 'watch-val');
    const bob = await player(post, 'writer', 'watch-bob');
    const subscribe = async (who: Player): Promise<void> => {
      const made = await who.who.ask('POST', '/protocols/army/subscriptions', {
        types: ['coord*'],
        deliver: 'inbox',
      });
      assert.equal(made.status, 201, JSON.stringify(made.body));
    };
    await subscribe(val);
    await subscribe(bob);
    const unknown = await bob.who.ask('POST', '/protocols/army/subscriptions', { types: ['gossip'] });
    assert.equal(unknown.status, 400);
    const { id } = await passed(note({ payload: { action: 'watched' } }));
    assert.equal((await val.next('coordination')).id, id);
    assert.deepEqual(await bob.all(), []);
    await post.admin.ask('DELETE', '/api/v2/agents/watch-val');
  });
});
