import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import type { JsonObject } from '../../domain/json.ts';
import { SchemaGuard } from '../../guards/schemas.ts';
import { systemClock } from '../../runtime/clock.ts';
import { setup } from './fixture.test.ts';
import { MONITOR_EXAMPLES, MONITOR_PAYLOAD } from './payload.ts';

const API = { type: 'http', url: 'https://api.example.com/' };

async function schemaFaults(payload: JsonObject): Promise<readonly string[]> {
  const schema = MONITOR_PAYLOAD as unknown as JsonObject;
  const guard = new SchemaGuard(systemClock, [schema]);
  try {
    await guard.check(schema, payload, 'task_data');
    return [];
  } catch (error) {
    const { errors } = (error as { details: JsonObject }).details;
    return (errors as readonly JsonObject[]).map(({ field }) => String(field));
  } finally {
    await guard.stop();
  }
}

test('SAM-173 an unknown check, a missing or impossible field is a fault of its field', async () => {
  for (const example of MONITOR_EXAMPLES) assert.deepEqual(await schemaFaults(example), []);
  const fields = (check: JsonObject): Promise<readonly string[]> => schemaFaults({ checks: [check] });
  assert.ok((await fields({ type: 'ping' })).includes('task_data.checks.0.type'));
  assert.ok((await fields({ type: 'http' })).includes('task_data.checks.0.url'));
  assert.ok((await fields({ type: 'tcp', host: 'a', port: 70_000 })).includes('task_data.checks.0.port'));
  assert.deepEqual(await fields({ ...API, name: '=cmd|calc' }), ['task_data.checks.0.name']);
  assert.deepEqual(await schemaFaults({ checks: [] }), ['task_data.checks']);
  const often = await schemaFaults({ checks: [API], schedule: { interval: 9 } });
  assert.deepEqual(often, ['task_data.schedule.interval']);
});

test('SAM-173 a bad host, contradictory thresholds and expectations that cannot be met are said field by field', async t => {
  const house = await setup(t);
  const faults = async (check: JsonObject): Promise<readonly string[]> =>
    (await house.faults({ checks: [check] })).map(fault => fault.replace('task_data.checks.0.', ''));
  assert.deepEqual(await faults(API), []);
  for (const url of ['api.example.com', 'https://', 'https://a b/'])
    assert.deepEqual(await faults({ ...API, url }), ['url is not an absolute URL'], url);
  assert.match((await faults({ ...API, url: 'file:///etc/passwd' }))[0] ?? '', /absolute|^unprocessable/);
  for (const host of ['a/b', 'a b', 'me@host', '1.2.3.4.5', '[::1', 'a:b'])
    assert.deepEqual(await faults({ type: 'tls_expiry', host }), ['host is not a name or an address'], host);
  const between = (warning: number, critical: number, check: JsonObject) =>
    faults({ ...check, thresholds: { warning, critical } });
  assert.deepEqual(await between(90, 80, { type: 'disk' }), [
    'thresholds must have its warning below its critical',
  ]);
  assert.deepEqual(await between(7, 30, { type: 'tls_expiry', host: 'a.example.com' }), [
    'thresholds must have its warning above its critical',
  ]);
  assert.deepEqual(await between(80, 101, { type: 'memory' }), ['thresholds.critical is over 100 %']);
  assert.match(
    (await between(1, 10_000, API))[0] ?? '',
    /^thresholds\.critical is never reached within the timeout/,
  );
  assert.match((await between(1, 2, { type: 'process', process: 'a' }))[0] ?? '', /does not go with process/);
  assert.deepEqual(await faults({ type: 'process', process: 'a', minimum: 3, maximum: 2 }), [
    'maximum is below the minimum',
  ]);
  assert.deepEqual(await faults({ ...API, method: 'HEAD', expect: { contains: 'a' } }), [
    'expect needs a body, which HEAD does not bring',
  ]);
  assert.deepEqual(await faults({ ...API, body: 'a' }), ['body goes with POST only']);
  assert.match(
    (await faults({ ...API, expect: { matches: '(a' } }))[0] ?? '',
    /^expect\.matches is not a regular/,
  );
  assert.match(
    (await faults({ ...API, expect: { matches: '(?=a)b' } }))[0] ?? '',
    /^expect\.matches is not a/,
  );
  assert.deepEqual(await faults({ ...API, expect: { matches: 'a{1000}' } }), [
    'expect.matches repeats too much',
  ]);
  assert.match(
    (await faults({ ...API, headers: { a: '{{ inputs.b }}' } }))[0] ?? '',
    /headers\.a has a template/,
  );
  assert.deepEqual(
    await house.faults({
      checks: [
        { ...API, name: 'a' },
        { ...API, name: 'a' },
      ],
    }),
    ['task_data.checks.1.name is the name of an earlier check'],
  );
});

test('SAM-171 SAM-173 a schedule has an interval or five fields of cron, and no longer a time than its task', async t => {
  const house = await setup(t);
  const faults = (schedule: JsonObject): Promise<readonly string[]> =>
    house.faults({ checks: [API], schedule }, { timeoutMs: 3_600_000 });
  assert.deepEqual(await faults({ interval: 10, duration: 3_600 }), []);
  assert.deepEqual(await faults({ cron: '*/5 9-17 * * MON-FRI', timezone: 'Europe/Madrid' }), []);
  assert.deepEqual(await faults({ cron: '@hourly', count: 3 }), []);
  for (const neither of [{}, { interval: 10, cron: '* * * * *' }])
    assert.deepEqual(await faults(neither), [
      'task_data.schedule must have exactly one of interval and cron',
    ]);
  for (const cron of ['* * * *', '*/5 * * * * *', '61 * * * *', 'often'])
    assert.match((await faults({ cron }))[0] ?? '', /^task_data\.schedule\.cron is not five fields/, cron);
  assert.deepEqual(await faults({ cron: '0 3 30 2 *' }), ['task_data.schedule.cron is never due']);
  assert.deepEqual(await faults({ cron: '0 3 * * *', timezone: 'Mars/Olympus' }), [
    'task_data.schedule.timezone is not the name of a time zone',
  ]);
  assert.deepEqual(await faults({ interval: 10, timezone: 'UTC' }), [
    'task_data.schedule.timezone goes with cron only',
  ]);
  assert.match(
    (await faults({ interval: 10, jitter: 10 }))[0] ?? '',
    /^task_data\.schedule\.jitter is as long as/,
  );
  const tooLong = "takes longer than the task's timeout of 3600 s allows";
  assert.deepEqual(await faults({ interval: 10, duration: 3_601 }), [
    `task_data.schedule.duration ${tooLong}`,
  ]);
  assert.deepEqual(await faults({ interval: 60, count: 62 }), [`task_data.schedule.count ${tooLong}`]);
  assert.deepEqual(await faults({ interval: 3_600 }), [
    `task_data.schedule.interval ${tooLong}: there would be one run`,
  ]);
});

test('every payload of the documentation can be handed in', async t => {
  const house = await setup(t);
  const page = await readFile(
    new URL('../../../docs/task-types/monitoring_task.md', import.meta.url),
    'utf8',
  );
  const blocks = [...page.matchAll(/^```json\n([\s\S]*?)^```/gm)].map(
    ([, text = '']) => JSON.parse(text) as JsonObject,
  );
  const payloads = blocks.map(block => block.task_data as JsonObject).filter(one => one !== undefined);
  assert.ok(payloads.length >= 2);
  for (const payload of [...payloads, ...MONITOR_EXAMPLES]) {
    assert.deepEqual(await schemaFaults(payload), []);
    assert.deepEqual(await house.faults(payload, { secrets: { health_token: 'x' } }), []);
  }
});
