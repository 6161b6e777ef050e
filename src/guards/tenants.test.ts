import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { ACME, DAY, HOUR, refusedWith, SECOND, setup } from './fixture.test.ts';

test('SAM-78 every tenant has a webhook secret from the beginning, sealed in the store', async () => {
  const { guards, store } = await setup();
  await guards.tenants.create({ id: 'acme', name: 'Acme' });
  const [standard] = await guards.tenants.webhookSecrets(DEFAULT_TENANT);
  const [acme] = await guards.tenants.webhookSecrets(ACME);
  assert.match(standard ?? '', /^whsec_[A-Za-z0-9+/]{43}=$/);
  assert.notEqual(standard, acme);
  const stored = JSON.stringify(await store.documents({ kind: 'tenant' }));
  assert.ok(!stored.includes('whsec_'), stored);
});

test('SAM-78 a rotated webhook secret comes first, and the one before signs along for 24 h', async () => {
  const { guards, clock } = await setup();
  const [first] = await guards.tenants.webhookSecrets(DEFAULT_TENANT);
  const second = await guards.tenants.rotateWebhookSecret(DEFAULT_TENANT);
  assert.deepEqual(await guards.tenants.webhookSecrets(DEFAULT_TENANT), [second, first]);
  clock.pass(24 * HOUR - 1);
  assert.deepEqual(await guards.tenants.webhookSecrets(DEFAULT_TENANT), [second, first]);
  clock.pass(1);
  assert.deepEqual(await guards.tenants.webhookSecrets(DEFAULT_TENANT), [second]);
  const third = await guards.tenants.rotateWebhookSecret(DEFAULT_TENANT);
  assert.deepEqual(await guards.tenants.webhookSecrets(DEFAULT_TENANT), [third, second]);
});

test('SAM-78 a webhook secret is renewed on the schedule its tenant sets, and not before', async () => {
  const { guards, clock, node } = await setup();
  await guards.tenants.create({ id: 'acme', options: { webhookRotationDays: 30 } });
  const [first] = await guards.tenants.webhookSecrets(ACME);
  await guards.stop();
  clock.pass(30 * DAY - 10 * SECOND);
  await (await node()).stop();
  assert.deepEqual(await guards.tenants.webhookSecrets(ACME), [first]);
  clock.pass(10 * SECOND);
  await (await node()).stop();
  clock.pass(5 * SECOND);
  const [newest, before] = await guards.tenants.webhookSecrets(ACME);
  assert.notEqual(newest, first);
  assert.equal(before, first);
});

test('two rotations at the same moment both happen: the newest signs, and nothing is lost', async () => {
  const { guards, node } = await setup();
  const elsewhere = await node();
  const secrets = await Promise.all([
    guards.tenants.rotateWebhookSecret(DEFAULT_TENANT),
    elsewhere.tenants.rotateWebhookSecret(DEFAULT_TENANT),
  ]);
  const living = await guards.tenants.webhookSecrets(DEFAULT_TENANT);
  assert.deepEqual(new Set(living), new Set(secrets));
});

test('a tenant is made once, listed by name, and changed only where told', async () => {
  const { guards } = await setup();
  const made = await guards.tenants.create({ id: 'acme', name: 'Acme', weight: 3 });
  await refusedWith('conflict', guards.tenants.create({ id: 'acme' }));
  await refusedWith('invalid_request', guards.tenants.create({ id: 'no/slashes' }));
  await refusedWith('invalid_request', guards.tenants.create({ id: 'light', weight: 0 }));
  const changed = await guards.tenants.update(ACME, { options: { hmacWindowSeconds: 60 } });
  assert.deepEqual(changed, { ...made, options: { ...made.options, hmacWindowSeconds: 60 } });
  assert.deepEqual(
    (await guards.tenants.list()).map(({ id }) => id),
    ['acme', 'default'],
  );
  await refusedWith('not_found', guards.tenants.update('nobody' as typeof ACME, { weight: 2 }));
});

test('SAM-233 a tenant’s weight holds here at once, and on other nodes within 1 s though no hint reaches them', async () => {
  const { guards, node, clock } = await setup();
  const elsewhere = await node();
  await guards.tenants.create({ id: 'acme', weight: 4 });
  assert.equal(guards.tenants.weight(ACME), 4);
  assert.equal(elsewhere.tenants.weight(ACME), 1);
  clock.pass(SECOND);
  await elsewhere.tenants.list();
  assert.equal(elsewhere.tenants.weight(ACME), 4);
});

test('SAM-26 a tenant may set the signature window within 30–900 s, and to nothing else', async () => {
  const { guards } = await setup();
  for (const hmacWindowSeconds of [30, 900])
    await guards.tenants.update(DEFAULT_TENANT, { options: { hmacWindowSeconds } });
  for (const hmacWindowSeconds of [29, 901, 60.5, Number.NaN])
    await refusedWith(
      'invalid_request',
      guards.tenants.update(DEFAULT_TENANT, { options: { hmacWindowSeconds } }),
    );
  assert.equal((await guards.tenants.options(DEFAULT_TENANT)).hmacWindowSeconds, 900);
});

test('SAM-225 a tenant’s residency holds here at once, on other nodes when they read again, and until it is lifted', async () => {
  const { guards, node, clock } = await setup();
  const elsewhere = await node();
  await guards.tenants.create({ id: 'acme', options: { residency: { regions: ['eu'] } } });
  assert.deepEqual(guards.tenants.regions(ACME), ['eu']);
  assert.equal(elsewhere.tenants.regions(ACME), undefined);
  clock.pass(5 * SECOND);
  await elsewhere.tenants.list();
  assert.deepEqual(elsewhere.tenants.regions(ACME), ['eu']);
  for (const regions of [[], [''], ['x'.repeat(201)], Array.from({ length: 101 }, () => 'eu')])
    await refusedWith(
      'invalid_request',
      guards.tenants.update(ACME, { options: { residency: { regions } } }),
    );
  await guards.tenants.update(ACME, { options: { residency: null } });
  assert.equal(guards.tenants.regions(ACME), undefined);
});
