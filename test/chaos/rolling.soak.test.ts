// A rolling restart under a storm of load. In one of four runs of the long tests one end was not streamed exactly once, cause unknown: a
// soak until that is found. `deploy/rolling.long.test.ts` has CI restart nodes one by one behind a balancer.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCluster } from '../cluster/cluster.ts';
import { postgresMissing } from '../postgres.ts';
import { rollingRestart } from './faults.ts';
import { CLUSTER_SETTINGS, faultsIn, openStorm } from './rounds.ts';

test('SAM-226 all nodes restarted one by one under load: not a single request fails, and each end is streamed once', {
  skip: postgresMissing,
}, async t => {
  const cluster = await startCluster({ settings: CLUSTER_SETTINGS });
  const storm = await openStorm(cluster);
  t.after(async () => {
    await storm.stop();
    await cluster.stop();
  });
  const report = await storm.round(rollingRestart);
  assert.deepEqual(faultsIn(report), []);
  assert.ok(report.requests >= 20, JSON.stringify(report));
});
