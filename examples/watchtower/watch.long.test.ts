import assert from 'node:assert/strict';
import { test } from 'node:test';
import { played, rowsIn } from '../played.ts';

test('each change of state is shown, and whoever is on duty is told of an outage and of slowness', async t => {
  const said = await played(t, ['watchtower', '--runs', '2']);

  const lines = said.split('\n').map(line => line.replace(/\d+(?:\.\d+)? ms/, 'N ms'));
  assert.deepEqual(
    lines.filter(line => line.startsWith('run')),
    [
      'run 1    payments: unknown → critical (the status is 503)',
      'run 2    payments: critical → ok',
      'run 2    shop: ok → warning (N ms, not below the limit of 2000)',
    ],
  );
  assert.deepEqual(
    lines.filter(line => line.startsWith('webhook')),
    [
      'webhook  ALERT payments is critical: the status is 503',
      'webhook  warning: shop took N ms, the limit is 2000',
    ],
  );
  assert.deepEqual(
    rowsIn(said).map(([name, state, available, , alerts]) => [name, state, available, alerts]),
    [
      ['payments', 'ok', '50', '1'],
      ['shop', 'warning', '100', '1'],
    ],
  );
});
