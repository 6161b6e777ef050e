// A server killed in the middle of a workflow: it goes on from its stored steps.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { correspondent } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { ADMIN, serverProcess } from '../../../test/server.ts';
import { message, until } from './fixture.test.ts';

test('NOOB-63 NOOB-114 a killed server goes on with a workflow where it was: no completed step runs again, and its end is told', async t => {
  const dataDir = mkdtempSync(join(tmpdir(), 'batuta-nooble-'));
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  const server = await serverProcess(dataDir, { BATUTA_LEASE_MS: '1000' });
  t.after(() => server.kill());
  await server.start();
  const boss = correspondent(server.url, { 'x-api-key': ADMIN.key, 'x-api-secret': ADMIN.secret });
  const records = [{ n: 1 }, { n: 2 }];
  const made = await boss.ask('POST', '/protocols/nooble/workflow-templates', {
    ...{ template_id: 'long', version: '1.0' },
    steps: [
      {
        ...{ step_id: 'first', name: 'first', step_type: 'tool_task', tool_name: 'collect_records' },
        input_data: { records },
      },
      { step_id: 'pause', name: 'pause', step_type: 'wait', seconds: 4, depends_on: ['first'] },
      {
        ...{
          step_id: 'last',
          name: 'last',
          step_type: 'tool_task',
          tool_name: 'data_analysis',
          depends_on: ['pause'],
        },
        input_data: {
          date_range: 'all',
          records: { source: 'previous_step', step_id: 'first', path: 'records' },
        },
      },
    ],
  });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const start = message('workflow.start', { workflow_template_id: 'long' });
  await boss.send('nooble', start);
  const isFirstDone = (one: Loose): boolean =>
    one.task_id === start.task_id && one.payload.completed_steps === 1;
  await until(boss, 'agent_orchestrator', isFirstDone);
  const ranFirst = async (): Promise<readonly unknown[]> => {
    const { body } = await boss.ask('GET', `/api/v2/task-status/${start.task_id}.first`);
    const { attempt, timestamps } = body.current_status;
    return [body.execution_id, attempt, timestamps.started, timestamps.completed];
  };
  const before = await ranFirst();
  assert.ok(before.every(one => one !== undefined));
  await server.kill();
  await server.start();
  const seen = await until(
    boss,
    'agent_orchestrator',
    one => one.task_id === start.task_id && one.payload.workflow_status === 'completed',
  );
  const { partial_results: results } = seen.at(-1).payload;
  assert.equal(results.last.data.metrics.n.sum, 3);
  assert.deepEqual(await ranFirst(), before);
});
