import assert from 'node:assert/strict';
import { test } from 'node:test';
import { played } from '../played.ts';

test('an outage costs an attempt and no page, nothing is imported twice, and the next night brings what changed alone', async t => {
  const said = await played(t, ['crm-sync']);

  const lines = said.trimEnd().split('\n');
  assert.deepEqual(
    lines.map(line => line.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/, 'then')),
    [
      'night 1: 250 customers in 5 pages since then, 250 imported at attempt 2',
      'night 2: 7 customers in 1 pages since then, 7 imported at attempt 1',
      'night 3: 0 customers in 1 pages since then, 0 imported at attempt 1',
      'the first night was given 5 pages; the warehouse was down 2 times, has 250 customers, and got 0 changes twice',
    ],
  );
});
