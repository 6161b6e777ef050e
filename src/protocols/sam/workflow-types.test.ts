// A credential for some task types runs no others by way of a workflow.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_TENANT } from '../../domain/ids.ts';
import type { Principal } from '../../domain/principal.ts';
import { refuseForeignSteps } from './refusals.ts';

const principal: Principal = {
  tenant: DEFAULT_TENANT,
  id: 'key:narrow',
  method: 'api_key',
  permissions: new Set(['task:execute']),
  taskTypes: new Set(['workflow_orchestration', 'api_integration']),
};

test('SAM-12 a credential for some task types may not start others as steps, however deep, nor run stored workflows', () => {
  const api = { id: 'a', task_type: 'api_integration', task_data: {} };
  const code = { id: 'b', task_type: 'code_execution', task_data: {} };
  refuseForeignSteps(principal, { steps: [api] });
  const forbidden = { code: 'forbidden' };
  assert.throws(() => refuseForeignSteps(principal, { steps: [api, code] }), forbidden);
  assert.throws(() => refuseForeignSteps(principal, { steps: [{ ...api, compensation: code }] }), forbidden);
  const inner = { id: 'c', kind: 'workflow', task_data: { steps: [code] } };
  assert.throws(
    () => refuseForeignSteps(principal, { steps: [{ id: 'p', kind: 'parallel', steps: [inner] }] }),
    forbidden,
  );
  assert.throws(() => refuseForeignSteps(principal, { workflow_id: 'nightly' }), forbidden);
  const { taskTypes: _, ...anyone } = principal;
  refuseForeignSteps(anyone, { workflow_id: 'nightly', steps: [code] });
});
