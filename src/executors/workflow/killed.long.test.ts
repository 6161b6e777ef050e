// A server that is killed in the middle of a workflow, as a power cut would, and started again.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { statusOf, submit, until } from '../../../test/e2e/crew.ts';
import { openWire } from '../../../test/e2e/wire.ts';
import { ADMIN_HEADERS, serverProcess } from '../../../test/server.ts';
import { $ } from './fixture.test.ts';

test('SAM-167 a workflow goes on after its server was killed, with what its steps had answered', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'batuta-killed-'));
  const server = await serverProcess(dir);
  t.after(async () => {
    await server.kill();
    rmSync(dir, { recursive: true, force: true });
  });
  await server.start();
  const { 'content-type': _, ...credentials } = ADMIN_HEADERS;
  const admin = await openWire(server.url, credentials);
  const rows = (inline: unknown, more: object = {}) => ({
    task_type: 'data_processing',
    task_data: { sources: { t: { inline } }, sql: 'SELECT sum(n)::INTEGER * 2 AS n FROM t' },
    ...more,
  });
  const steps = [
    { id: 'first', ...rows([{ n: 3 }]) },
    { id: 'go', kind: 'wait', message: 'go', depends_on: ['first'] },
    { id: 'second', ...rows($('steps.first.output.rows'), { depends_on: ['go', 'first'] }) },
  ];
  await submit(admin, {
    task_id: 'w',
    task_type: 'workflow_orchestration',
    description: 'survive',
    orchestrator_info: { agent_id: 'manus', timestamp: '2026-01-01T00:00:00Z' },
    task_data: { steps },
    execution_config: { max_retries: 0 },
  });
  // The step is a task of its own once the workflow has begun.
  const stepPath = '/api/v2/task-status/w.first';
  let found = await admin.get(stepPath, { expect: null });
  while (found.status === 404) found = await admin.get(stepPath, { expect: null });
  await until(admin, 'w.first', one => one.current_status.outcome === 'completed');
  await server.kill();
  await server.start();
  await admin.post('/api/v2/workflow-runs/w/messages', { name: 'go' });
  const { current_status: now, execution_details: details } = await until(
    admin,
    'w',
    one => one.current_status.outcome !== null,
  );
  assert.equal(now.outcome, 'completed', JSON.stringify(details));
  assert.deepEqual(details.output.steps.second.output.rows, [{ n: 12 }]);
  assert.equal((await statusOf(admin, 'w.first')).current_status.attempt, 1);
});
