// A rolling restart under a storm of load.

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
