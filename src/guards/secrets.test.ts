import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { ACME, NOON, refusedWith, setup } from './fixture.test.ts';

test('SAM-34 a secret is written, listed by name, read for an attempt and deleted', async () => {
  const { guards } = await setup();
  const { secrets } = guards;
  await secrets.set(ACME, 'TOKEN', 'first');
  await secrets.set(ACME, 'TOKEN', 'sécret\nin two lines');
  await secrets.set(ACME, 'OTHER', 'x');
  assert.deepEqual(await secrets.names(ACME), [
    { name: 'OTHER', updatedAt: NOON },
    { name: 'TOKEN', updatedAt: NOON },
  ]);
  assert.deepEqual(await secrets.values(ACME, ['TOKEN']), { TOKEN: 'sécret\nin two lines' });
  assert.deepEqual(await secrets.values(ACME, []), {});
  await secrets.remove(ACME, 'TOKEN');
  await refusedWith('not_found', secrets.remove(ACME, 'TOKEN'));
  assert.deepEqual(await secrets.missing(ACME, ['TOKEN', 'OTHER', 'NONE']), ['TOKEN', 'NONE']);
});

test('SAM-34 an unknown secret is unprocessable, and names itself', async () => {
  const { guards } = await setup();
  await guards.secrets.set(ACME, 'ONE', 'x');
  const error = await refusedWith('unprocessable', guards.secrets.values(ACME, ['ONE', 'TWO']));
  assert.deepEqual(error.details, { secret: 'TWO' });
});

test('SAM-34 a tenant has no part in another’s secrets, and their rows swapped do not open', async () => {
  const { guards, store } = await setup();
  const { secrets } = guards;
  await secrets.set(ACME, 'NAME', 'acme’s');
  assert.deepEqual(await secrets.names(DEFAULT_TENANT), []);
  assert.deepEqual(await secrets.missing(DEFAULT_TENANT, ['NAME']), ['NAME']);
  await refusedWith('unprocessable', secrets.values(DEFAULT_TENANT, ['NAME']));
  const [row] = await store.documents({ kind: 'secret', tenant: ACME });
  const body = row?.body ?? null;
  await store.putDocuments([{ tenant: DEFAULT_TENANT, kind: 'secret', id: 'NAME', body }]);
  await store.putDocuments([{ tenant: ACME, kind: 'secret', id: 'RENAMED', body }]);
  await refusedWith('internal', secrets.values(DEFAULT_TENANT, ['NAME']));
  await refusedWith('internal', secrets.values(ACME, ['RENAMED']));
});

test('SAM-34 the store holds no secret in clear', async () => {
  const { guards, store } = await setup();
  await guards.secrets.set(ACME, 'NAME', 'canary-4711');
  const text = JSON.stringify(await store.documents({ kind: 'secret' }));
  assert.ok(!text.includes('canary-4711'));
  assert.ok(!text.includes(Buffer.from('canary-4711').toString('base64')));
});

test('SAM-34 names and values are held to their form', async () => {
  const { guards } = await setup();
  for (const [name, value] of [
    ['', 'x'],
    ['a b', 'x'],
    ['x'.repeat(201), 'x'],
    ['NAME', ''],
    ['NAME', 'x'.repeat(65_537)],
  ] as const)
    await refusedWith('invalid_request', guards.secrets.set(ACME, name, value));
  await guards.secrets.set(ACME, '__proto__', 'x');
  assert.equal(Object.keys(await guards.secrets.values(ACME, ['__proto__'])).length, 1);
});

test('SAM-78 a task’s own webhook secret signs alone, else the tenant’s do', async () => {
  const { guards } = await setup();
  const { secrets, tenants } = guards;
  const sealed = secrets.sealWebhookSecret(DEFAULT_TENANT, 'the task’s');
  assert.ok(!sealed.includes('task'));
  assert.deepEqual(await secrets.webhookSecrets(DEFAULT_TENANT, sealed), ['the task’s']);
  const rotated = await tenants.rotateWebhookSecret(DEFAULT_TENANT);
  const both = await secrets.webhookSecrets(DEFAULT_TENANT, undefined);
  assert.equal(both.length, 2);
  assert.equal(both[0], rotated);
});
