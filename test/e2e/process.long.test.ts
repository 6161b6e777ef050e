import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import type { Loose } from '../serve.ts';
import { ADMIN, type ServerProcess, serverProcess } from '../server.ts';
import { hire, statusOf, submit, taskOf, until } from './crew.ts';
import { eventsOf, type StreamedEvent } from './stream.ts';
import { keyHeaders, openWire } from './wire.ts';

const ADMIN_KEY = { api_key: ADMIN.key, api_secret: ADMIN.secret };

interface Box {
  readonly server: ServerProcess;
  readonly dataDir: string;
}

async function box(t: TestContext, settings: Readonly<Record<string, string>> = {}): Promise<Box> {
  const dataDir = mkdtempSync(join(tmpdir(), 'batuta-process-'));
  const server = await serverProcess(dataDir, settings);
  t.after(async () => {
    await server.kill();
    rmSync(dataDir, { recursive: true, force: true });
  });
  return { server, dataDir };
}

/** So long, on a machine that has nothing else to do. */
const onIdleMachine = (ms: number): number => ms * Math.max(1, (loadavg()[0] ?? 0) / availableParallelism());

const idsOf = (answers: readonly Loose[]): string[] => answers.map(({ body }) => body.execution_id);

suite('killed without warning', () => {
  test('SAM-47 SAM-65 what was answered 200 is there afterwards, and streams read on from their last event without gap or repeat', async t => {
    const { server } = await box(t);
    await server.start();
    const admin = await openWire(server.url, keyHeaders(ADMIN_KEY));
    const worker = await hire(admin, 'kill');
    await submit(admin, taskOf('streamed', 'kill'));
    const lease = await worker.lease();
    await worker.report(lease, { percentage: 10 });
    const seen: StreamedEvent[] = [];
    for await (const event of eventsOf(admin, '/api/v2/task-events/streamed')) {
      seen.push(event);
      if (event.event === 'task_progress') break;
    }
    await submit(admin, taskOf('done', 'kill'));
    await worker.complete(await worker.lease(), 'kept');
    const bodies = Array.from({ length: 20 }, (_, n) => taskOf(`kill-${n}`, 'kill'));
    const first = await Promise.all(bodies.map(body => submit(admin, body)));
    await server.kill();
    await server.start();

    assert.equal((await statusOf(admin, 'done')).execution_details.output, 'kept');
    assert.deepEqual(idsOf(await Promise.all(bodies.map(body => submit(admin, body)))), idsOf(first));
    assert.equal((await worker.exchange({ slots: 100, wait_seconds: 5 })).leases.length, 20);
    await worker.report(lease, { percentage: 20 });
    await worker.complete(lease, null);
    const path = '/api/v2/task-events/streamed';
    for await (const event of eventsOf(admin, path, seen.at(-1)?.id)) seen.push(event);
    const whole: StreamedEvent[] = [];
    for await (const event of eventsOf(admin, path)) whole.push(event);
    assert.deepEqual(seen.slice(0, -1), whole.slice(0, seen.length - 1));
    assert.equal(seen.at(-1)?.event, 'end');
    assert.equal(seen.filter(one => one.event === 'task_progress').length, 2);
  });
});

suite('started and stopped', () => {
  test('SAM-223 SAM-226 the first start needs no setting and serves within ten seconds; told to stop, it lets go gently and exits 0', async t => {
    const nothing = {
      BATUTA_ADMIN_KEY: '',
      BATUTA_ADMIN_SECRET: '',
      BATUTA_JWT_SECRET: '',
      BATUTA_RATE_LIMITS: '',
    };
    const { server, dataDir } = await box(t, { ...nothing, BATUTA_DRAIN_MS: '500' });
    const began = performance.now();
    await server.start();
    assert.ok(performance.now() - began < onIdleMachine(10_000));
    const credentials = join(dataDir, 'credentials.json');
    for (const file of [credentials, join(dataDir, 'house-keys.json')])
      assert.equal(statSync(file).mode & 0o777, 0o600, file);
    const made: Loose = JSON.parse(readFileSync(credentials, 'utf8'));
    assert.equal(made.url, server.url);
    assert.ok(made.jwt_secret.length >= 43 && made.api_secret.length >= 43);

    const admin = await openWire(server.url, keyHeaders(made));
    const worker = await hire(admin, 'drain');
    await submit(admin, taskOf('drain', 'drain'));
    const lease = await worker.lease();
    const poll = worker.exchange({ slots: 1, wait_seconds: 30 });
    const stream = await fetch(`${server.url}/api/v2/task-events/drain`, {
      headers: { ...admin.credentials },
    });
    const told = stream.text();
    const asked = performance.now();
    assert.equal(await server.stop(), 0);
    assert.ok(performance.now() - asked < onIdleMachine(5_000));
    assert.deepEqual((await poll).leases, []);
    assert.match(await told, /retry: \d+\n\n$/);

    await server.start();
    assert.deepEqual(JSON.parse(readFileSync(credentials, 'utf8')), made);
    await worker.complete(lease, 'after the restart');
    const end = await until(admin, 'drain', one => one.current_status.outcome !== null);
    assert.deepEqual([end.current_status.attempt, end.execution_details.output], [1, 'after the restart']);
  });

  test('SAM-223 a misspelt setting stops the start, naming it and what was meant', async t => {
    const { server } = await box(t, { BATUTA_LEASEMS: '1' });
    await assert.rejects(server.start(), /BATUTA_LEASEMS.*BATUTA_LEASE_MS/s);
  });
});
