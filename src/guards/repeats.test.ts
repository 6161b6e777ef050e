import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../runtime/log.ts';
import { systemRandom } from '../runtime/random.ts';
import { ACME, DAY, HOUR, refusedWith, SECOND, setup } from './fixture.test.ts';
import { type FirstRun, type KeptAnswer, type KeyedRequest, Repeats } from './repeats.ts';

const REQUEST: KeyedRequest = {
  tenant: ACME,
  principal: 'key:one',
  route: 'POST /things',
  key: 'the-key',
  query: '',
  body: Buffer.from('{"n":1}'),
  confidential: false,
};

const kept = (body: string): KeptAnswer => ({ status: 201, contentType: 'text/plain', body, headers: {} });

async function setUp() {
  const bundle = await setup();
  const { clock, store, guards } = bundle;
  let runs = 0;
  const node = (isAlone = false) =>
    new Repeats(silentLog, clock, systemRandom, store, guards.vault, { isAlone });
  const ok = async (): Promise<FirstRun<string>> => {
    runs += 1;
    return { reply: `run ${runs}`, succeeded: true, kept: kept(`run ${runs}`) };
  };
  const documents = () => store.documents({ kind: 'request', tenant: ACME });
  return { ...bundle, node, ok, documents, runs: () => runs };
}

test('SAM-47 the same request under its key is done once and answered again, on another node and after a day it is new', async () => {
  const { clock, node, ok, runs } = await setUp();
  const repeats = node();
  assert.deepEqual(await repeats.once(REQUEST, ok), { first: 'run 1' });
  assert.deepEqual(await repeats.once(REQUEST, ok), { again: kept('run 1') });
  assert.deepEqual(await node().once(REQUEST, ok), { again: kept('run 1') });
  assert.equal(runs(), 1);
  clock.pass(DAY + SECOND);
  assert.deepEqual(await repeats.once(REQUEST, ok), { first: 'run 2' });
});

test('SAM-47 another body or query under the key is a conflict; another key, route or caller is another request', async () => {
  const { node, ok, runs } = await setUp();
  const repeats = node();
  await repeats.once(REQUEST, ok);
  for (const other of [{ body: Buffer.from('{"n":2}') }, { query: 'force=true' }])
    await refusedWith('conflict', repeats.once({ ...REQUEST, ...other }, ok));
  assert.equal(runs(), 1);
  for (const other of [{ key: 'k2' }, { route: 'POST /others' }, { principal: 'key:two' }])
    assert.ok('first' in (await repeats.once({ ...REQUEST, ...other }, ok)), JSON.stringify(other));
  assert.equal(runs(), 4);
});

test('SAM-47 of simultaneous duplicates one is done and all are answered alike', async () => {
  const { node, ok, runs } = await setUp();
  const repeats = node();
  const answers = await Promise.all(Array.from({ length: 20 }, () => repeats.once(REQUEST, ok)));
  assert.equal(runs(), 1);
  const bodies = answers.map(one => ('first' in one ? one.first : one.again.body));
  assert.deepEqual([...new Set(bodies)], ['run 1']);
});

test('SAM-47 a request that failed used up no key: whoever waited for it tries for itself', async () => {
  const { node, ok, runs, documents } = await setUp();
  const repeats = node();
  const broken = repeats.once(REQUEST, async () => {
    throw new Error('the handler failed');
  });
  const waiting = repeats.once({ ...REQUEST, body: Buffer.from('{"n":2}') }, ok);
  await assert.rejects(broken, /the handler failed/);
  assert.deepEqual(await waiting, { first: 'run 1' });
  const refused = { reply: 'no', succeeded: false, kept: null };
  const other = { ...REQUEST, key: 'refused' };
  assert.deepEqual(await repeats.once(other, async () => refused), { first: 'no' });
  assert.equal((await documents()).length, 1);
  assert.deepEqual(await repeats.once(other, ok), { first: 'run 2' });
  assert.equal(runs(), 2);
});

test('SAM-47 what a node left under way is waited for, then taken over; a lone process takes it over at once', async () => {
  const { clock, node, ok, runs } = await setUp();
  const dead = Promise.withResolvers<FirstRun<string>>();
  const started = Promise.withResolvers<void>();
  void node().once(REQUEST, () => {
    started.resolve();
    return dead.promise;
  });
  await started.promise;
  const second = node().once(REQUEST, ok);
  for (let second = 0; second < 80; second++) {
    await new Promise(resolve => setImmediate(resolve));
    clock.pass(SECOND / 4);
    if (second < 50) assert.equal(runs(), 0);
  }
  assert.deepEqual(await second, { first: 'run 1' });
  const left = { ...REQUEST, key: 'left' };
  const begun = Promise.withResolvers<void>();
  void node().once(left, () => {
    begun.resolve();
    return dead.promise;
  });
  await begun.promise;
  assert.deepEqual(await node(true).once(left, ok), { first: 'run 2' });
});

test('SAM-18 an answer that bears a secret is not kept, and its repeat is refused and not done', async () => {
  const { node, ok, runs, documents } = await setUp();
  const repeats = node();
  const secret = { ...REQUEST, confidential: true };
  assert.deepEqual(await repeats.once(secret, ok), { first: 'run 1' });
  await refusedWith('conflict', repeats.once(secret, ok));
  assert.equal(runs(), 1);
  assert.deepEqual(
    (await documents()).map(({ body }) => Object.keys(body)),
    [['fingerprint']],
  );
});

test('what is kept shows neither the request nor the answer, and a huge answer is not kept', async () => {
  const { node, documents } = await setUp();
  const repeats = node();
  const answer = (body: string) => async () => ({ reply: '', succeeded: true, kept: kept(body) });
  await repeats.once({ ...REQUEST, body: Buffer.from('hunter2') }, answer('the plain answer'));
  const text = JSON.stringify(await documents());
  for (const plain of ['hunter2', 'the plain answer', 'the-key']) assert.ok(!text.includes(plain), plain);
  const huge = { ...REQUEST, key: 'huge' };
  await repeats.once(huge, answer('x'.repeat(70_000)));
  await refusedWith('conflict', repeats.once(huge, answer('again')));
});

test('beyond ten thousand in an hour a tenant’s answers are kept for ten minutes only', async () => {
  const { clock, node, ok, documents } = await setUp();
  const repeats = node();
  const many = Array.from({ length: 10_001 }, (_, n) => repeats.once({ ...REQUEST, key: `k${n}` }, ok));
  await Promise.all(many);
  const short = (await documents()).filter(({ expiresAt }) => (expiresAt ?? 0) <= clock.now() + HOUR);
  assert.equal(short.length, 1);
});
