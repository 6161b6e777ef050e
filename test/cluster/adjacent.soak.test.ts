// Two versions on one PostgreSQL at once: the one before, out of the history, and this one, under the load of the storms, whose
// clients come through the front and whose every failed request is written down.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { MIGRATIONS } from '../../src/store/postgres/migrations/migrations.ts';
import { CLUSTER_SETTINGS, faultsIn, openStorm } from '../chaos/rounds.ts';
import { postgresMissing } from '../postgres.ts';
import { type Cluster, type ClusterNode, startCluster } from './cluster.ts';
import { previousMissing, unpackPrevious } from './previous.ts';

const TEST_MS_MAX = 400_000;
/** How soon work goes on after a fault is another test's; here it must at all. */
const STEP_MS_MAX = 60_000;

/** Replaces a node as an update does; its program is this version's unless another is named. */
async function replace({ front }: Cluster, node: ClusterNode, main?: string): Promise<void> {
  const code = await node.server.stop();
  assert.equal(code, 0, node.server.said);
  await node.start(main === undefined ? {} : { main });
  while (!front.ready().includes(node.url)) await pause(20);
}

async function schemaOf({ databaseUrl }: Cluster): Promise<number> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const { rows } = await client.query('SELECT schema FROM batuta.meta');
  await client.end();
  return rows[0]?.schema;
}

test('SAM-227 SAM-226 the version before serves on a database that this one has migrated, beside nodes of this one, while each is replaced and one goes back: not a request fails, nothing is lost, applied twice or left untold', {
  skip: postgresMissing || previousMissing,
  timeout: TEST_MS_MAX,
}, async t => {
  const previous = unpackPrevious();
  t.after(() => previous.remove());
  const cluster = await startCluster({
    // A node leaves as slowly as it does in earnest, and a slow one is not a dead one: what fails must be the versions' fault.
    settings: { ...CLUSTER_SETTINGS, BATUTA_LEAVE_MS: '5000' },
    main: previous.main,
    silentMsMax: 15_000,
  });
  t.after(() => cluster.stop());
  // Opens the store as this version does, which migrates it under the nodes of the one before.
  const storm = await openStorm(cluster);
  t.after(() => storm.stop());
  assert.equal(await schemaOf(cluster), MIGRATIONS.length);
  const report = await storm.round({
    name: 'two versions at once',
    seamless: true,
    async strike(_, load) {
      const [first, second, third] = cluster.nodes;
      assert.ok(first !== undefined && second !== undefined && third !== undefined);
      // Each state of the cluster has to take tasks in, run them and tell of them before the next.
      const steps: readonly (readonly [ClusterNode, string?])[] = [
        [first, previous.main],
        [first],
        [second],
        [third],
        [third, previous.main],
      ];
      let resumedMs = 0;
      for (const [node, main] of steps) {
        await replace(cluster, node, main);
        resumedMs = await load.goesOn(STEP_MS_MAX);
      }
      return resumedMs;
    },
  });
  assert.deepEqual(faultsIn(report), []);
  assert.ok(report.tally.acknowledged >= 20 && report.requests >= 20, JSON.stringify(report));
});
