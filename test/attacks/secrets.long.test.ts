import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isStream } from '../e2e/contract.ts';
import { hire, logged, submit, taskOf, until, type Worker } from '../e2e/crew.ts';
import { openMailbox } from '../e2e/mailbox.ts';
import { bearer, keyHeaders, openWire } from '../e2e/wire.ts';
import type { Loose } from '../serve.ts';
import { freePort } from '../server.ts';
import { filled, type Ids, MISSING } from './furnished.ts';

/** Secrets that nothing else looks like; each goes in by its own door and must come out by none. */
const CANARY = {
  adminSecret: 'bs_canary-admin-0f1e2d3c4b5a69788796a5b4c3d2e1f0',
  jwtSecret: 'canary-jwt-secret-0f1e2d3c4b5a6978879',
  value: 'canary tenant value: "quoted", ünïcode & more',
  webhook: 'canary-webhook-secret-5a69788796a5b4c3',
  jwtKey: 'canary-jwt-key-of-the-tenant-5a69788796a5b4c3',
} as const;
const ADMIN_KEY = 'bk_canary_admin';

const dataDir = mkdtempSync(join(tmpdir(), 'batuta-canary-'));
const port = await freePort();
const child = spawn(
  process.execPath,
  [fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url)), 'serve'],
  {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      BATUTA_PORT: String(port),
      BATUTA_DATA: dataDir,
      BATUTA_ADMIN_KEY: ADMIN_KEY,
      BATUTA_ADMIN_SECRET: CANARY.adminSecret,
      BATUTA_JWT_SECRET: CANARY.jwtSecret,
      BATUTA_ALLOW_PRIVATE_TARGETS: '127.0.0.1',
      BATUTA_RATE_LIMITS: 'off',
      BATUTA_LOG_LEVEL: 'debug',
    },
  },
);
let said = '';
for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (said += chunk));
const mailbox = await openMailbox();
after(async () => {
  mailbox.close();
  child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  rmSync(dataDir, { recursive: true, force: true });
});
while (!said.includes('Batuta serves on'))
  await Promise.race([once(child.stderr, 'data'), once(child.stdout, 'data')]);
const url = `http://127.0.0.1:${port}`;
const admin = await openWire(url, keyHeaders({ api_key: ADMIN_KEY, api_secret: CANARY.adminSecret }));
const issued = await issue();
const worker = await hire(admin, 'canary');
const told = await tell(worker);

/** What the server itself makes and shows once. */
async function issue(): Promise<Readonly<Record<string, string>>> {
  await admin.ask('PUT', '/api/v2/secrets/canary', { body: { value: CANARY.value } });
  await admin.post('/api/v2/jwt-keys', { kid: 'canary', algorithm: 'HS256', key: CANARY.jwtKey });
  const { body: key } = await admin.post('/api/v2/api-keys', { name: 'canary', permissions: ['task:read'] });
  const { body: tenant } = await admin.post('/api/v2/tenants', { tenant_id: 'canary', name: 'Canary' });
  const { body: rotated } = await admin.post('/api/v2/tenants/canary/webhook-secret/rotate');
  const trade = { grant_type: 'client_credentials' };
  const { body: pair } = await admin.as(keyHeaders(key)).post('/api/v2/auth/token', trade);
  await admin.as(bearer(pair.access_token)).get('/api/v2/agents');
  return {
    apiSecret: key.api_secret,
    tenantSecret: tenant.api_secret,
    webhookSecret: rotated.webhook_secret,
    accessToken: pair.access_token,
    refreshToken: pair.refresh_token,
  };
}

/** A worker that blurts out its secret in every place it can, then fails, and once more and completes. */
async function tell({ lease, exchange, report, fail, complete }: Worker): Promise<Loose> {
  const plan = {
    execution_config: { environment: { secrets: ['canary'] } },
    notification_config: { webhook_url: mailbox.url, webhook_secret: CANARY.webhook },
  };
  const blurted = {
    plain: CANARY.value,
    coded: Buffer.from(CANARY.value).toString('base64'),
    [CANARY.value]: [CANARY.value],
  };
  for (const id of ['canary-fails', 'canary-completes']) {
    await submit(admin, taskOf(id, 'canary', plan));
    const held = await lease();
    assert.equal(held.secrets.canary, CANARY.value);
    const { task_id, fencing_token } = held;
    const line = { task_id, fencing_token, message: `the secret is ${CANARY.value}`, metadata: blurted };
    await exchange({ logs: [line, { ...line, message: 'said', component: CANARY.value.slice(0, 40) }] });
    await report(held, { percentage: 50, current_step: CANARY.value, intermediate_result: blurted });
    if (id === 'canary-completes') await complete(held, blurted);
    else await fail(held, { message: `it was ${CANARY.value}`, recoverable: false, details: blurted });
    await logged(admin, id, 'said');
    await mailbox.find(one => one.body.task_id === id && 'result' in one.body);
  }
  const program = {
    language: 'javascript',
    code: `
      const secret = Object.values(env).find(value => String(value).startsWith('canary tenant'));
      if (secret === undefined) throw new Error('there is no secret to tell');
      console.log('the secret is', secret);
      console.error(JSON.stringify({ [secret]: env }));
      progress(50, secret);
      return { [secret]: [env, secret] };`,
  };
  const built = { ...taskOf('canary-runs', '', plan), task_type: 'code_execution', task_data: program };
  await submit(admin, built);
  const ran = await until(admin, 'canary-runs', one => one.current_status.outcome !== null);
  assert.equal(ran.current_status.outcome, 'completed', JSON.stringify(ran.execution_details));
  return until(admin, 'canary-completes', one => one.current_status.outcome !== null);
}

/** The ways a secret may be written down. */
function spellings(secret: string): readonly string[] {
  const bytes = Buffer.from(secret);
  return [
    secret,
    JSON.stringify(secret).slice(1, -1),
    bytes.toString('base64'),
    bytes.toString('base64url'),
    bytes.toString('hex'),
    encodeURIComponent(secret),
  ];
}

function leaks(where: string, text: string): readonly string[] {
  return Object.entries({ ...CANARY, ...issued }).flatMap(([name, secret]) =>
    spellings(secret).some(one => text.includes(one)) ? [`${where} tells ${name}`] : [],
  );
}

suite('canary secrets', () => {
  test('SAM-34 SAM-63 SAM-78 no answer of any route bears one, though the worker tells them all', async () => {
    const { body: list } = await admin.get('/api/v2/deliveries');
    const { body: keys } = await admin.get('/api/v2/api-keys');
    const places: readonly Ids[] = ['canary-fails', 'canary-completes', 'canary-runs'].map(task_id => ({
      ...MISSING,
      task_id,
      kid: 'canary',
      tenant_id: 'canary',
      agent_id: worker.agentId,
      key_id: keys.api_keys.at(-1).api_key,
      delivery_id: list.deliveries[0].delivery_id,
    }));
    const found: string[] = [];
    for (const operation of admin.contract.operations) {
      if (operation.method !== 'GET' || isStream(operation)) continue;
      for (const ids of places)
        for (const query of ['', '?include_logs=true&include_context=true&limit=1000']) {
          const path = filled(operation, ids) + query;
          const { body } = await admin.get(path, { expect: null });
          found.push(...leaks(path, typeof body === 'string' ? body : JSON.stringify(body)));
        }
    }
    assert.deepEqual(found, []);
    assert.equal(told.current_status.outcome, 'completed');
  });

  test('SAM-34 SAM-78 no webhook bears one, in body or headers', () => {
    assert.ok(mailbox.letters.length >= 4);
    const found = mailbox.letters.flatMap(({ body, raw, headers }) =>
      leaks(
        `the webhook ${body.event_type} of ${body.task_id}`,
        raw.toString('utf8') + JSON.stringify(headers),
      ),
    );
    assert.deepEqual(found, []);
  });

  test('SAM-8 SAM-205 the server’s own log, at its most talkative, bears none', async () => {
    for (const secret of Object.values(CANARY)) {
      await admin.as({ 'x-api-key': secret, 'x-api-secret': secret }).get('/api/v2/agents', { expect: 401 });
      await admin.as(bearer(secret.replace(/[^\w-]/g, '-'))).get('/api/v2/agents', { expect: 401 });
      await submit(admin, {}, { raw: `{"broken": "${secret}`, expect: 400 });
    }
    assert.ok(said.length > 0);
    assert.deepEqual(leaks('the log', said), []);
    const { body } = await admin.get('/api/v2/audit?limit=1000');
    assert.deepEqual(leaks('the audit', JSON.stringify(body)), []);
  });

  test('SAM-18 SAM-34 SAM-78 the files of the data directory bear none in plain text, running or stopped', async () => {
    const inFiles = (when: string): readonly string[] =>
      readdirSync(dataDir, { recursive: true, withFileTypes: true })
        .filter(entry => entry.isFile() && !/^(?:credentials|house-keys)\.json$/.test(entry.name))
        .flatMap(entry =>
          leaks(`${entry.name} ${when}`, readFileSync(join(entry.parentPath, entry.name), 'utf8')),
        );
    const whileRunning = inFiles('while it runs');
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
    assert.deepEqual([...whileRunning, ...inFiles('at rest')], []);
  });
});
