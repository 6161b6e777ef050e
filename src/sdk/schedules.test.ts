import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatutaClient } from './client.ts';
import { farEnd } from './far-end.test.ts';

test('scheduled tasks: the client makes, lists, shows, steers and deletes schedules, completing the order', async context => {
  const end = await farEnd(context, asked =>
    asked.method === 'DELETE'
      ? { status: 204 }
      : { json: { schedule_id: 's', schedules: [{ schedule_id: 's' }] } },
  );
  const client = new BatutaClient({ url: end.url, agentId: 'me' });
  const task = { task_type: 'code_execution', description: 'd', task_data: {} } as const;
  await client.schedules.create({ schedule_id: 's', cron: '@daily', task });
  assert.deepEqual(await client.schedules.list({ limit: 5 }), [{ schedule_id: 's' }]);
  await client.schedules.get('s');
  await client.schedules.pause('s');
  await client.schedules.resume('s');
  await client.schedules.run('s');
  await client.schedules.remove('s');
  assert.deepEqual(
    end.asked.map(({ method, path }) => `${method} ${path}`),
    [
      'POST /api/v2/schedules',
      'GET /api/v2/schedules',
      'GET /api/v2/schedules/s',
      'POST /api/v2/schedules/s/pause',
      'POST /api/v2/schedules/s/resume',
      'POST /api/v2/schedules/s/run',
      'DELETE /api/v2/schedules/s',
    ],
  );
  assert.deepEqual(JSON.parse(end.asked[0]?.text ?? ''), {
    schedule_id: 's',
    cron: '@daily',
    task: { ...task, orchestrator_info: { agent_id: 'me' } },
  });
});
