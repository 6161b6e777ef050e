import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { hire, submit, taskOf } from './crew.ts';
import { running } from './running.ts';

const house = await running();
after(() => house.stop());
const nobody = house.admin.as({});

suite('health', () => {
  test('SAM-198 tells anybody how the system is: version, uptime, load and dependencies', async () => {
    const { body } = await nobody.get('/api/v2/health');
    assert.equal(body.status, 'healthy');
    assert.deepEqual(body.dependencies, {
      database: 'healthy',
      external_apis: 'healthy',
      file_system: 'healthy',
    });
    for (const name of ['memory_usage', 'cpu_usage', 'disk_usage'])
      assert.ok(body.metrics[name] >= 0 && body.metrics[name] <= 100, name);
    assert.match(body.version, /^\d+\.\d+\.\d+/);
    assert.ok(Math.abs(Date.parse(body.timestamp) - Date.now()) < 5_000);
  });

  test('SAM-198 counts what waits and what runs', async () => {
    const worker = await hire(house.admin, 'counted');
    for (const n of [1, 2, 3]) await submit(house.admin, taskOf(`counted-${n}`, 'counted'));
    await worker.lease();
    const deadline = performance.now() + 10_000;
    for (;;) {
      const { metrics } = (await nobody.get('/api/v2/health')).body;
      if (metrics.queue_size === 2 && metrics.active_tasks === 1) break;
      assert.ok(performance.now() < deadline, JSON.stringify(metrics));
    }
  });

  test('SAM-199 SAM-6 live and ready answer 200 without a credential, and a bad one does not matter', async () => {
    for (const credentials of [{}, { authorization: 'Bearer nonsense' }]) {
      await house.admin.as(credentials).get('/api/v2/health/live');
      const { body } = await house.admin.as(credentials).get('/api/v2/health/ready');
      assert.equal(body.ready, true);
    }
  });

  test('SAM-198 tells nobody what only operators should know', async () => {
    const { body } = await nobody.get('/api/v2/health');
    const said = JSON.stringify(body);
    const { api_key: key, api_secret: secret, jwt_secret: jwt } = house.server.credentials;
    for (const private_ of [key, secret, jwt, house.dataDir]) assert.ok(!said.includes(private_), private_);
  });
});
