import assert from 'node:assert/strict';
import { test } from 'node:test';
import { played } from '../played.ts';

test('an outage costs an attempt and no page, nothing is imported twice, and the next night brings what changed alone', async t => {
  const said = await played(t, ['crm-sync', '--nights', '3']);

  const lines = said.trimEnd().split('\n');
  assert.deepEqual(
    lines.map(line => line.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/, 'then')),
    [
      'night 1: 250 customers in 5 pages since then, 250 imported at attempt 2',
      '  in all: 5 pages and 1 tokens given out, 1 imports done of 3 tried, 250 customers in the warehouse',
      'night 2: 7 customers in 1 pages since then, 7 imported at attempt 1',
      '  in all: 6 pages and 1 tokens given out, 2 imports done of 4 tried, 250 customers in the warehouse',
      'night 3: 7 customers in 1 pages since then, 7 imported at attempt 1',
      '  in all: 7 pages and 1 tokens given out, 3 imports done of 5 tried, 250 customers in the warehouse',
    ],
  );
});
