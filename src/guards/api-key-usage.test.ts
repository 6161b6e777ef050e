import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACME, DAY, NOON, refusedWith, SECOND, setup, withKey } from './fixture.test.ts';

async function withNewKey() {
  const bundle = await setup();
  const { key, secret } = await bundle.guards.apiKeys.create(ACME, {
    name: 'key',
    permissions: ['task:read'],
  });
  const use = async (times: number, sourceAddress = '203.0.113.7', guards = bundle.guards): Promise<void> => {
    for (let time = 0; time < times; time += 1)
      await guards.authenticator.authenticate(withKey(key.id, secret, { sourceAddress }));
  };
  const anomalies = async (): Promise<readonly unknown[]> =>
    (await bundle.audit(ACME))
      .filter(({ action }) => action === 'security.key_anomaly')
      .map(({ detail }) => detail.anomaly);
  return { ...bundle, key, secret, use, anomalies };
}

test('SAM-21 a key’s use is told by day with requests, failures, networks and the last use', async () => {
  const { guards, key, use, clock } = await withNewKey();
  await use(2);
  await use(1, '2001:db8:1:2::3');
  await refusedWith('unauthenticated', guards.authenticator.authenticate(withKey(key.id, 'wrong')));
  clock.pass(DAY);
  await use(1);
  const usage = await guards.usage.view(ACME, key.id);
  assert.equal(usage.lastUsedAt, NOON + DAY);
  assert.equal(usage.anomaly, false);
  assert.deepEqual(usage.days, [
    {
      date: '2026-01-16',
      requests: 1,
      failures: 0,
      networks: { '203.0.113.0/24': 1 },
      anomalies: [],
      lastUsedAt: NOON + DAY,
    },
    {
      date: '2026-01-15',
      requests: 3,
      failures: 1,
      networks: { '203.0.113.0/24': 2, '2001:db8:1::/48': 1 },
      anomalies: [],
      lastUsedAt: NOON,
    },
  ]);
});

test('SAM-21 what two nodes count adds up, and counting alone writes it within a second', async () => {
  const { guards, key, use, node, clock } = await withNewKey();
  const elsewhere = await node();
  await use(3);
  await use(4, '203.0.113.7', elsewhere);
  clock.pass(SECOND);
  await Promise.all([guards.usage.flush(), elsewhere.usage.flush()]);
  await use(1);
  const [today] = (await guards.usage.view(ACME, key.id)).days;
  assert.equal(today?.requests, 8);
  assert.deepEqual(today?.networks, { '203.0.113.0/24': 8 });
});

test('SAM-21 the first use from a new network is an anomaly, once; the first use of all is none', async () => {
  const { guards, key, use, clock, anomalies } = await withNewKey();
  await use(1);
  await guards.usage.flush();
  assert.deepEqual(await anomalies(), []);
  clock.pass(DAY);
  await use(1, '198.51.100.1');
  await guards.usage.flush();
  await use(1, '198.51.100.1');
  await guards.usage.flush();
  assert.deepEqual(await anomalies(), ['new_network']);
  const usage = await guards.usage.view(ACME, key.id);
  assert.equal(usage.anomaly, true);
  assert.deepEqual(usage.days[0]?.anomalies, ['new_network']);
  clock.pass(DAY);
  await use(1, '198.51.100.99');
  await guards.usage.flush();
  assert.deepEqual(await anomalies(), ['new_network']);
});

test('SAM-21 ten times the daily mean is an anomaly, and nine and a half times is none', async () => {
  const { guards, use, clock, anomalies } = await withNewKey();
  await use(1);
  clock.pass(DAY);
  await use(3);
  clock.pass(DAY);
  await use(19);
  await guards.usage.flush();
  assert.deepEqual(await anomalies(), []);
  await use(1);
  await guards.usage.flush();
  assert.deepEqual(await anomalies(), ['request_surge']);
});

test('a use that could not be stored is kept and stored later', async () => {
  const { guards, key, use, store } = await withNewKey();
  await use(2);
  const put = store.putDocuments;
  store.putDocuments = () => Promise.reject(new Error('down'));
  await guards.usage.flush();
  store.putDocuments = put;
  await use(1);
  const [today] = (await guards.usage.view(ACME, key.id)).days;
  assert.equal(today?.requests, 3);
});

test('a day remembers a hundred networks and counts the others together', async () => {
  const { guards, key, use } = await withNewKey();
  for (let network = 0; network < 105; network += 1) await use(1, `10.0.${network}.1`);
  const [today] = (await guards.usage.view(ACME, key.id)).days;
  assert.equal(Object.keys(today?.networks ?? {}).length, 101);
  assert.equal(today?.networks.other, 5);
  assert.equal(today?.requests, 105);
});
