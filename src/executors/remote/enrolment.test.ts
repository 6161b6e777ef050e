import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { VirtualClock } from '../../../test/simulation/clock.ts';
import type { AgentId, TenantId } from '../../domain/ids.ts';
import { DEFAULT_TENANT } from '../../domain/ids.ts';
import { Vault } from '../../guards/vault.ts';
import { systemRandom } from '../../runtime/random.ts';
import { openSqliteInProcess } from '../../store/sqlite/open.ts';
import { Enrolments } from './enrolment.ts';

const agent = { tenant: DEFAULT_TENANT, agentId: 'far' as AgentId };
const credential = { kind: 'api_key', key: 'the key', secret: 'the key’s secret' } as const;
const DAY_MS = 86_400_000;

function setup() {
  const clock = new VirtualClock();
  const random = systemRandom;
  const store = openSqliteInProcess({ path: ':memory:', clock, random, auditKey: Buffer.alloc(32) });
  const enrolments = new Enrolments(clock, random, store, new Vault(random, randomBytes(32)));
  return { clock, store, enrolments };
}

test('SAM-98 an agent’s credential and webhook secret are sealed where they are stored', async () => {
  const { store, enrolments } = setup();
  await enrolments.enrol({ ...agent, credential, webhookSecret: 'the webhook secret' });
  const stored = JSON.stringify(await store.documents({ kind: 'remote_agent' }));
  assert.doesNotMatch(stored, /the key|the webhook secret/);
  assert.deepEqual(await enrolments.find(agent), {
    ...agent,
    credential,
    webhookSecrets: ['the webhook secret'],
  });
});

test('an agent enrolled without a webhook secret gets one of its own, and keeps it', async () => {
  const { enrolments } = setup();
  await enrolments.enrol(agent);
  const first = await enrolments.find(agent);
  assert.match(first?.webhookSecrets[0] ?? '', /^whsec_[A-Za-z0-9+/]{43}=$/);
  assert.equal(first?.credential, null);
  await enrolments.enrol({ ...agent, credential });
  assert.deepEqual(await enrolments.find(agent), { ...first, credential });
});

test('a replaced webhook secret counts for another day', async () => {
  const { clock, enrolments } = setup();
  await enrolments.enrol({ ...agent, webhookSecret: 'old' });
  await enrolments.enrol({ ...agent, webhookSecret: 'new' });
  await enrolments.enrol({ ...agent, webhookSecret: 'new' });
  assert.deepEqual((await enrolments.find(agent))?.webhookSecrets, ['new', 'old']);
  await clock.advance(DAY_MS + 1);
  assert.deepEqual((await enrolments.find(agent))?.webhookSecrets, ['new']);
});

test('tenants may have agents of one name, each with secrets of its own', async () => {
  const { enrolments } = setup();
  const other = { ...agent, tenant: 'other' as TenantId };
  await enrolments.enrol({ ...agent, webhookSecret: 'one' });
  await enrolments.enrol({ ...other, webhookSecret: 'two' });
  const named = await enrolments.named('far');
  assert.deepEqual(named.map(one => one.webhookSecrets[0]).sort(), ['one', 'two']);
  await enrolments.forget(agent);
  assert.equal(await enrolments.find(agent), null);
  assert.deepEqual(await enrolments.refs(), [other]);
});
