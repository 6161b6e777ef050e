import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from './config.ts';
import { type AdapterParts, createChannels } from './registry.ts';

const load = (variables: Record<string, string>, flags = {}) => loadConfig({ environment: variables, flags });

test('with nothing set, it serves loopback on 8400 with an embedded database', () => {
  const config = load({});
  assert.equal(config.port, 8400);
  assert.equal(config.host, '127.0.0.1');
  assert.equal(config.databaseUrl, null);
  assert.deepEqual(config.rateLimits, { standard: 1000, status: 10_000, webhooks: 500 });
});

test('the command line wins over the environment, and the environment over the file', () => {
  const dir = mkdtempSync(join(tmpdir(), 'batuta-config-'));
  const file = join(dir, 'batuta.json');
  writeFileSync(file, JSON.stringify({ port: 1, host: 'from-file', queueMax: 7 }));
  const config = loadConfig({
    environment: { BATUTA_PORT: '2', BATUTA_HOST: 'from-env' },
    flags: { port: '3' },
    file,
  });
  rmSync(dir, { recursive: true });
  assert.deepEqual([config.port, config.host, config.queueMax], [3, 'from-env', 7]);
});

test('an unknown setting is an error with a suggestion', () => {
  assert.throws(() => load({ BATUTA_PROT: '1' }), /unknown setting BATUTA_PROT; did you mean BATUTA_PORT\?/);
});

test('SAM-223 an invalid setting stops the start, naming it', () => {
  assert.throws(() => load({ BATUTA_PORT: 'many' }), /BATUTA_PORT is wrong: it must be a whole number/);
  assert.throws(() => load({ BATUTA_LOG_LEVEL: 'loud' }), /BATUTA_LOG_LEVEL/);
  assert.throws(() => load({ BATUTA_RATE_LIMITS: 'status' }), /BATUTA_RATE_LIMITS/);
});

test('rate limits can be lifted, whole or one by one', () => {
  assert.equal(load({ BATUTA_RATE_LIMITS: 'off' }).rateLimits, null);
  assert.deepEqual(load({ BATUTA_RATE_LIMITS: 'standard=5' }).rateLimits, {
    standard: 5,
    status: 10_000,
    webhooks: 500,
  });
});

test('variables of clients and tests do not stop a server', () => {
  load({ BATUTA_URL: 'http://127.0.0.1:1', BATUTA_TEST_POSTGRES_URL: 'x', HOME: '/' });
});

test('SAM-154 models are set with their prices and a provider to fall back on', () => {
  const config = load({
    BATUTA_MODEL_URL: 'https://api.example.com/v1/',
    BATUTA_MODEL: 'writer, *',
    BATUTA_MODEL_PRICES: 'writer=0.15/0.6, vendor/painter=0.04',
    BATUTA_MODEL_BLOCKED: 'weapons: pipe bomb, darn',
    BATUTA_MODEL_FALLBACK_URL: 'http://127.0.0.1:11434/v1',
    BATUTA_MODEL_FALLBACK: 'llama',
  });
  assert.deepEqual([config.modelUrl, config.model], ['https://api.example.com/v1', ['writer', '*']]);
  assert.deepEqual(config.modelPrices, {
    writer: { inputPerMillion: 0.15, outputPerMillion: 0.6 },
    'vendor/painter': { perImage: 0.04 },
  });
  assert.deepEqual(config.modelBlocked, [
    { category: 'weapons', phrase: 'pipe bomb' },
    { category: 'blocked', phrase: 'darn' },
  ]);
  assert.deepEqual([config.modelFallbackUrl, config.modelFallback], ['http://127.0.0.1:11434/v1', ['llama']]);
  for (const [name, value] of [
    ['BATUTA_MODEL_URL', 'api.example.com'],
    ['BATUTA_MODEL', ' , '],
    ['BATUTA_MODEL_PRICES', 'writer'],
    ['BATUTA_MODEL_PRICES', 'writer=1/2/3'],
    ['BATUTA_MODEL_PRICES', 'writer=/2'],
    ['BATUTA_MODEL_BLOCKED', 'weapons:'],
  ] as const)
    assert.throws(() => load({ [name]: value }), new RegExp(`${name} is wrong`), value);
});

test('NOOB-52 mail needs a server and a sender, and what is wrong with them shows no password', () => {
  const url = 'smtps://batuta:hush@mail.example.com';
  const channels = (settings: Readonly<Record<string, string>>) =>
    createChannels({ config: load(settings) } as AdapterParts).map(({ name }) => name);
  assert.deepEqual(channels({}), ['webhook', 'slack']);
  const both = { BATUTA_SMTP_URL: url, BATUTA_MAIL_FROM: 'batuta@example.com' };
  assert.deepEqual(channels(both), ['webhook', 'slack', 'email']);
  assert.throws(() => channels({ BATUTA_SMTP_URL: url }), /both a server and who they are from/);
  for (const [name, value] of [
    ['BATUTA_SMTP_URL', 'batuta:hush@mail.example.com'],
    ['BATUTA_SMTP_URL', 'smtps://batuta:hush@:465'],
    ['BATUTA_MAIL_FROM', 'Batuta <batuta@example.com>'],
  ] as const)
    assert.throws(
      () => channels({ ...both, [name]: value }),
      (error: Error) => error.message.startsWith(`${name} is wrong`) && !error.message.includes('hush'),
      value,
    );
});

test('proxies that are believed are addresses and networks, and nothing else', () => {
  const { trustedProxies } = load({ BATUTA_TRUSTED_PROXIES: '10.0.0.0/8, ::1,fd00::/8' });
  assert.deepEqual(trustedProxies, ['10.0.0.0/8', '::1', 'fd00::/8']);
  assert.deepEqual(load({}).trustedProxies, []);
  for (const wrong of ['balancer', '10.0.0.0/33', '10.0.0.0/8/8', '10.0.0.1/', '*'])
    assert.throws(() => load({ BATUTA_TRUSTED_PROXIES: wrong }), /BATUTA_TRUSTED_PROXIES is wrong/, wrong);
});
