import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCluster } from '../cluster/cluster.ts';
import { postgresMissing } from '../postgres.ts';
import { manyAtOnce } from './faults.ts';
import { CLUSTER_SETTINGS, faultsIn, openStorm } from './rounds.ts';

test('three nodes on a PostgreSQL', { skip: postgresMissing }, async t => {
  const cluster = await startCluster({ settings: CLUSTER_SETTINGS });
  const storm = await openStorm(cluster);
  t.after(async () => {
    await storm.stop();
    await cluster.stop();
  });

  await t.test(
    'SAM-47 SAM-87 a node, all connections and the database killed under load: nothing is lost, applied twice or left untold, and work goes on within 10 s',
    async () => {
      const report = await storm.round(manyAtOnce);
      assert.deepEqual(faultsIn(report), []);
      assert.ok(report.tally.acknowledged >= 20 && report.tally.webhooks > 0, JSON.stringify(report));
    },
  );
});
