import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { suite, test } from 'node:test';
import { type Loose, type Served, type ServeOptions, serve, taskBody } from '../../../../test/serve.ts';

const setup = async (t: { after(fn: () => Promise<void>): void }, options: ServeOptions = {}) => {
  const served = await serve(options);
  t.after(() => served.stop());
  return served;
};

const withKey = (issued: Loose) => ({
  as: null,
  headers: { 'x-api-key': issued.api_key, 'x-api-secret': issued.api_secret },
});

const makeKey = async ({ ask }: Served, more: object = {}): Promise<Loose> => {
  const { status, body } = await ask('POST', '/api/v2/api-keys', {
    body: { name: 'k', permissions: ['task:read'], ...more },
  });
  assert.equal(status, 201);
  return body;
};

suite('API keys', () => {
  test('SAM-18 SAM-19 a key is made with its terms, its secret is shown once, and it opens what it may', async t => {
    const served = await setup(t);
    const issued = await makeKey(served, {
      rate_limit: 5,
      task_types: ['custom'],
      expires_at: '2100-01-01T00:00:00Z',
    });
    assert.deepEqual(
      [issued.rate_limit, issued.task_types, issued.expires_at],
      [5, ['custom'], '2100-01-01T00:00:00.000Z'],
    );
    assert.equal((await served.ask('GET', '/api/v2/task-status', withKey(issued))).status, 200);
    assert.equal((await served.ask('GET', '/api/v2/api-keys', withKey(issued))).status, 403);
    const listed = await served.ask('GET', '/api/v2/api-keys');
    assert.deepEqual([listed.body.total, listed.body.api_keys[0].api_key], [1, issued.api_key]);
    const shown = await served.ask('GET', `/api/v2/api-keys/${issued.api_key}`);
    for (const body of [listed.body, shown.body])
      assert.ok(!JSON.stringify(body).includes(issued.api_secret));
  });

  test('SAM-20 a rotated key has a new secret beside the old, and a revoked one opens nothing', async t => {
    const served = await setup(t);
    const issued = await makeKey(served);
    const rotated = await served.ask('POST', `/api/v2/api-keys/${issued.api_key}/rotate`);
    assert.notEqual(rotated.body.api_secret, issued.api_secret);
    for (const key of [issued, rotated.body])
      assert.equal((await served.ask('GET', '/api/v2/task-status', withKey(key))).status, 200);
    const revoked = await served.ask('DELETE', `/api/v2/api-keys/${issued.api_key}`);
    assert.match(revoked.body.revoked_at, /Z$/);
    assert.equal((await served.ask('GET', '/api/v2/task-status', withKey(rotated.body))).status, 401);
  });

  test('SAM-21 a key’s use is told day by day', async t => {
    const served = await setup(t);
    const issued = await makeKey(served);
    await served.ask('GET', '/api/v2/task-status', withKey(issued));
    const { body } = await served.ask('GET', `/api/v2/api-keys/${issued.api_key}/usage`);
    assert.equal(body.days[0].requests, 1);
    assert.match(body.last_used_at, /Z$/);
  });

  test('SAM-19 a key with impossible terms names every fault', async t => {
    const { ask } = await setup(t);
    const { status, body } = await ask('POST', '/api/v2/api-keys', {
      body: { name: 'k', permissions: ['fly'], allowed_ips: ['here'] },
    });
    assert.equal(status, 400);
    assert.deepEqual(body.error.details.errors.map((one: Loose) => one.field).sort(), [
      'allowed_ips',
      'permissions',
    ]);
  });
});

suite('tokens', () => {
  test('SAM-16 SAM-17 a key is traded for tokens in any of three ways, which refresh, and end when revoked', async t => {
    const served = await setup(t);
    const { ask } = served;
    const issued = await makeKey(served);
    const grant = { grant_type: 'client_credentials' };
    const basic = Buffer.from(`${issued.api_key}:${issued.api_secret}`).toString('base64');
    const ways = [
      { ...withKey(issued), body: grant },
      { as: null, body: { ...grant, client_id: issued.api_key, client_secret: issued.api_secret } },
      { as: null, body: grant, headers: { authorization: `Basic ${basic}` } },
    ];
    for (const way of ways) {
      const { status, body, headers } = await ask('POST', '/api/v2/auth/token', way);
      assert.equal(status, 200);
      assert.deepEqual([body.token_type, body.expires_in, body.scope], ['Bearer', 3_600, 'task:read']);
      assert.equal(headers.get('cache-control'), 'no-store');
      assert.equal((await ask('GET', '/api/v2/task-status', { as: body.access_token })).status, 200);
    }
    const first = (await ask('POST', '/api/v2/auth/token', ways[0])).body;
    const refreshed = await ask('POST', '/api/v2/auth/refresh', {
      as: null,
      body: { refresh_token: first.refresh_token },
    });
    assert.equal(refreshed.status, 200);
    const revoked = await ask('POST', '/api/v2/auth/revoke', {
      as: refreshed.body.access_token,
      body: { token: refreshed.body.access_token },
    });
    assert.equal(revoked.status, 200);
    assert.equal((await ask('GET', '/api/v2/task-status', { as: refreshed.body.access_token })).status, 401);
    const reused = await ask('POST', '/api/v2/auth/refresh', {
      as: null,
      body: { refresh_token: first.refresh_token },
    });
    assert.equal(reused.status, 401);
  });

  test('SAM-16 a wrong secret, another grant and too wide a scope are refused', async t => {
    const served = await setup(t);
    const issued = await makeKey(served);
    const ask = (body: object, secret = issued.api_secret) =>
      served.ask('POST', '/api/v2/auth/token', {
        as: null,
        body: { client_id: issued.api_key, client_secret: secret, ...body },
      });
    assert.equal((await ask({ grant_type: 'client_credentials' }, 'wrong')).status, 401);
    assert.equal((await ask({ grant_type: 'password' })).status, 400);
    assert.equal((await ask({ grant_type: 'client_credentials', scope: 'admin' })).status, 400);
    assert.equal((await ask({})).status, 400);
  });
});

test('SAM-10 SAM-11 verification keys are added, listed without their material, and ended', async t => {
  const { ask } = await setup(t);
  const { publicKey } = generateKeyPairSync('ed25519');
  const pem = publicKey.export({ type: 'spki', format: 'pem' });
  const made = await ask('POST', '/api/v2/jwt-keys', {
    body: { kid: 'mine', algorithm: 'EdDSA', key: pem, issuer: 'me' },
  });
  assert.deepEqual(
    [made.status, made.body.kid, made.body.issuer, made.body.active],
    [201, 'mine', 'me', true],
  );
  const jwk = { ...publicKey.export({ format: 'jwk' }) };
  assert.equal(
    (await ask('POST', '/api/v2/jwt-keys', { body: { algorithm: 'EdDSA', key: jwk } })).status,
    201,
  );
  assert.equal(
    (await ask('POST', '/api/v2/jwt-keys', { body: { algorithm: 'HS256', key: 'short' } })).status,
    400,
  );
  const listed = await ask('GET', '/api/v2/jwt-keys');
  assert.equal(listed.body.total, 2);
  assert.ok(!JSON.stringify(listed.body).includes('BEGIN'));
  assert.equal((await ask('DELETE', '/api/v2/jwt-keys/mine')).body.active, false);
  assert.equal((await ask('DELETE', '/api/v2/jwt-keys/none')).status, 404);
});

test('SAM-34 a secret is kept, listed by name, never shown, and forgotten', async t => {
  const { ask, house, guards } = await setup(t);
  const value = 'the combination is 1234';
  assert.equal((await ask('PUT', '/api/v2/secrets/vault', { body: { value } })).status, 200);
  assert.equal((await ask('POST', '/api/v2/secrets', { body: { name: 'other', value } })).status, 200);
  const listed = await ask('GET', '/api/v2/secrets');
  assert.deepEqual(
    listed.body.secrets.map((one: Loose) => one.name),
    ['other', 'vault'],
  );
  await guards.audit.flush();
  const audit = await house.store.audit({ tenant: 'default' as never, limit: 100 });
  assert.ok(!JSON.stringify([listed.body, audit]).includes(value));
  assert.equal((await ask('DELETE', '/api/v2/secrets/vault')).status, 204);
  assert.equal((await ask('DELETE', '/api/v2/secrets/vault')).status, 404);
  assert.equal((await ask('GET', '/api/v2/secrets', { as: 'reader' })).status, 403);
});

suite('tenants', () => {
  test('an administrator of the default tenant makes a tenant, whose first key administers it and nothing else', async t => {
    const { ask } = await setup(t);
    const made = await ask('POST', '/api/v2/tenants', { body: { tenant_id: 'acme', name: 'Acme' } });
    assert.deepEqual([made.status, made.body.tenant_id, made.body.name], [201, 'acme', 'Acme']);
    const mine = withKey(made.body);
    assert.equal(
      (await ask('POST', '/api/v2/execute-task', { ...mine, body: taskBody('theirs') })).status,
      200,
    );
    assert.equal((await ask('GET', '/api/v2/task-status/theirs')).status, 404);
    assert.deepEqual(
      (await ask('GET', '/api/v2/tenants', mine)).body.tenants.map((one: Loose) => one.tenant_id),
      ['acme'],
    );
    assert.equal((await ask('GET', '/api/v2/tenants/default', mine)).status, 404);
    assert.equal((await ask('POST', '/api/v2/tenants', { ...mine, body: { tenant_id: 'b' } })).status, 403);
    assert.equal(
      (await ask('PATCH', '/api/v2/tenants/acme', { ...mine, body: { weight: 100 } })).status,
      403,
    );
    const tuned = await ask('PATCH', '/api/v2/tenants/acme', {
      ...mine,
      body: { options: { hmac_window_seconds: 60 } },
    });
    assert.equal(tuned.body.options.hmac_window_seconds, 60);
    assert.equal((await ask('POST', '/api/v2/tenants', { body: { tenant_id: 'acme' } })).status, 409);
  });

  test('SAM-225 a tenant’s residency is set by route, shown, refuses what it forbids, and lifted', async t => {
    const { ask } = await setup(t, { options: { region: 'eu' } });
    const made = await ask('POST', '/api/v2/tenants', {
      body: { tenant_id: 'acme', options: { residency: { regions: ['eu', 'uk'] } } },
    });
    assert.equal(made.status, 201);
    const mine = withKey(made.body);
    assert.deepEqual((await ask('GET', '/api/v2/tenants/acme', mine)).body.options.residency, {
      regions: ['eu', 'uk'],
    });
    const bound = (id: string, region: string, mode?: string) =>
      ask('POST', '/api/v2/execute-task', {
        ...mine,
        body: taskBody(id, {
          execution_config: { region, ...(mode === undefined ? {} : { region_mode: mode }) },
        }),
      });
    const refused = await bound('abroad', 'us');
    assert.deepEqual([refused.status, refused.body.status], [422, 'rejected']);
    assert.match(refused.body.error.message, /may not run in the region us/);
    assert.equal((await bound('home', 'eu')).status, 200);
    assert.equal((await bound('wished', 'us', 'prefer')).status, 200);
    const silly = { residency: { regions: [] } };
    assert.equal(
      (await ask('PATCH', '/api/v2/tenants/acme', { ...mine, body: { options: silly } })).status,
      400,
    );
    const lifted = await ask('PATCH', '/api/v2/tenants/acme', {
      ...mine,
      body: { options: { residency: null } },
    });
    assert.equal(lifted.body.options.residency, null);
    const nobody = await bound('later', 'us');
    assert.match(nobody.body.error.message, /no registered agent/);
  });

  test('SAM-78 a tenant’s webhook secret is renewed by route', async t => {
    const { ask } = await setup(t);
    const { body } = await ask('POST', '/api/v2/tenants/default/webhook-secret/rotate');
    assert.match(body.webhook_secret, /^whsec_/);
  });
});

suite('audit', () => {
  test('SAM-205 administrative actions are recorded with what changed, filtered, and verified', async t => {
    const served = await setup(t);
    const issued = await makeKey(served);
    await served.ask('DELETE', `/api/v2/api-keys/${issued.api_key}`);
    await served.guards.audit.flush();
    const { body } = await served.ask('GET', `/api/v2/audit?object=${issued.api_key}`);
    assert.deepEqual(
      body.entries.map((one: Loose) => one.action),
      ['api_key.created', 'api_key.revoked'],
    );
    assert.equal(body.entries[0].principal, 'jwt:admin');
    assert.ok(!JSON.stringify(body).includes(issued.api_secret));
    const [first] = (await served.ask('GET', '/api/v2/audit?limit=1')).body.entries;
    const next = await served.ask('GET', `/api/v2/audit?limit=1&after=${first.sequence}`);
    assert.equal(next.body.entries[0].sequence, first.sequence + 1);
    const verdict = await served.ask('GET', '/api/v2/audit/verify');
    assert.equal(verdict.body.intact, true);
    assert.ok(verdict.body.entries >= 2);
    assert.equal((await served.ask('GET', '/api/v2/audit', { as: 'reader' })).status, 403);
  });

  test('SAM-205 an audit that was written under another key does not verify', async t => {
    const served = await setup(t, {
      sam: { options: { serverId: 's', version: '1', auditKey: Buffer.alloc(32, 9) } },
    });
    await makeKey(served);
    await served.guards.audit.flush();
    const { body } = await served.ask('GET', '/api/v2/audit/verify');
    assert.deepEqual([body.intact, body.broken_at, body.fault], [false, 1, 'altered']);
  });
});

suite('health', () => {
  test('SAM-198 health tells status, version, uptime, load and what it depends on', async t => {
    const { ask } = await setup(t, { health: { activeTasks: 3, queueSize: 7, uptimeSeconds: 12 } });
    const { status, body } = await ask('GET', '/api/v2/health', { as: null });
    const { timestamp, ...rest } = body;
    assert.equal(status, 200);
    assert.match(timestamp, /Z$/);
    assert.deepEqual(rest, {
      status: 'healthy',
      version: '1.2.3',
      uptime: 12,
      metrics: { active_tasks: 3, queue_size: 7, memory_usage: 10, cpu_usage: 10, disk_usage: 10 },
      dependencies: { database: 'healthy', external_apis: 'healthy', file_system: 'healthy' },
    });
  });

  test('SAM-199 a failing external API or a full disk degrades, an unusable database is unhealthy and not ready', async () => {
    const cases = [
      [{ externalApis: 'unhealthy' }, 200, 'degraded', 200],
      [{ diskPercent: 91 }, 200, 'degraded', 200],
      [{ database: 'unhealthy' }, 503, 'unhealthy', 503],
      [{ fileSystem: 'unhealthy' }, 503, 'unhealthy', 503],
      [{ ready: false }, 200, 'healthy', 503],
    ] as const;
    for (const [health, status, word, ready] of cases) {
      const served = await serve({ health });
      const told = await served.ask('GET', '/api/v2/health');
      assert.deepEqual([told.status, told.body.status], [status, word], JSON.stringify(health));
      assert.equal((await served.ask('GET', '/api/v2/health/ready')).status, ready, JSON.stringify(health));
      assert.equal((await served.ask('GET', '/api/v2/health/live')).status, 200);
      await served.stop();
    }
  });
});

suite('canaries', () => {
  test('SAM-228 what canaries get is for administrators of the default tenant to see and to set, and is recorded', async t => {
    const { ask, guards } = await setup(t);
    const before = await ask('GET', '/api/v2/canaries');
    assert.deepEqual([before.body.share, before.body.tenants, before.body.stopped], [0, [], null]);
    const body = { share: 0.05, tenants: ['acme', 'acme'] };
    const set = await ask('PUT', '/api/v2/canaries', { body });
    assert.deepEqual([set.status, set.body.share, set.body.tenants], [200, 0.05, ['acme']]);
    assert.deepEqual((await ask('GET', '/api/v2/canaries')).body, set.body);
    for (const as of ['stranger', 'reader']) {
      assert.equal((await ask('GET', '/api/v2/canaries', { as })).status, 403);
      assert.equal((await ask('PUT', '/api/v2/canaries', { as, body })).status, 403);
    }
    for (const wrong of [{ share: 1.5 }, { share: -1 }, {}, { share: 0, tenants: ['no/slashes'] }])
      assert.equal((await ask('PUT', '/api/v2/canaries', { body: wrong })).status, 400);
    await guards.audit.flush();
    const { entries } = (await ask('GET', '/api/v2/audit?action=canaries.set')).body;
    assert.deepEqual(
      entries.map((one: Loose) => [one.detail.old.share, one.detail.new.share]),
      [[0, 0.05]],
    );
  });
});
