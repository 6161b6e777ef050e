// `npm run chaos -- [cluster [times] | sqlite [kills]]`: the long storms. A cluster of three nodes on a PostgreSQL lives through every
// fault there is, so many times (1); or one server on SQLite is killed so often (50). Ends with 1 if anything was lost or doubled.

import { startCluster } from '../cluster/cluster.ts';
import { islandsMissing } from '../cluster/island.ts';
import { postgresMissing } from '../postgres.ts';
import { FAULTS } from './faults.ts';
import { CLUSTER_SETTINGS, faultsIn, openStorm, type RoundReport } from './rounds.ts';
import { storm } from './storm.ts';

const [world = 'cluster', times] = process.argv.slice(2);
const count = times === undefined ? (world === 'sqlite' ? 50 : 1) : Number(times);
if (!['cluster', 'sqlite'].includes(world) || !Number.isInteger(count) || count < 1) {
  console.error('npm run chaos -- [cluster [times] | sqlite [kills]]');
  process.exit(2);
}
// What was started is put away when this process ends, if it is let end.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
process.exit(await (world === 'sqlite' ? rageOnOne(count) : rageOnMany(count)));

async function rageOnMany(repeats: number): Promise<number> {
  if (postgresMissing !== false) return 1;
  const started = performance.now();
  console.log('starting a PostgreSQL and three nodes');
  const cluster = await startCluster({ island: islandsMissing === false, settings: CLUSTER_SETTINGS });
  const reports: RoundReport[] = [];
  const wrong: string[] = [];
  try {
    const tempest = await openStorm(cluster);
    for (const fault of Array.from({ length: repeats }, () => FAULTS).flat()) {
      const skipped = fault.skip?.(cluster) ?? false;
      if (skipped !== false) {
        console.log(`SKIPPED ${fault.name}: ${skipped}`);
        continue;
      }
      const report = await tempest.round(fault);
      reports.push(report);
      wrong.push(...faultsIn(report));
      console.log(line(report));
    }
    await tempest.stop();
  } finally {
    await cluster.stop();
  }
  conclude(reports, wrong, performance.now() - started);
  return wrong.length === 0 ? 0 : 1;
}

function line(report: RoundReport): string {
  const { fault, resumedMs, settledMs, requests, failed, tally } = report;
  const verdict = faultsIn(report).length === 0 ? 'ok  ' : 'FAIL';
  const parts = [
    `work went on after ${seconds(resumedMs)}`,
    `settled after ${seconds(settledMs)}`,
    `${failed.length} of ${requests} requests tried again`,
    `${tally.acknowledged} tasks so far`,
    `lost ${tally.lost}`,
    `duplicated ${tally.appliedTwice}`,
  ];
  return `${verdict} ${fault.name}: ${parts.join(', ')}`;
}

function conclude(reports: readonly RoundReport[], wrong: readonly string[], ms: number): void {
  const last = reports.at(-1)?.tally;
  if (last === undefined) return;
  const { lost, appliedTwice: duplicated, ...rest } = last;
  console.table({
    ...{ rounds: reports.length, seconds: Math.round(ms / 1_000) },
    'longest rest of work, ms': Math.round(Math.max(...reports.map(({ resumedMs }) => resumedMs ?? 0))),
    ...rest,
  });
  for (const what of wrong) console.log(what);
  console.log(`lost ${lost}, duplicated ${duplicated}`);
}

function seconds(ms: number | null): string {
  return ms === null ? 'too long' : `${(ms / 1_000).toFixed(1)} s`;
}

async function rageOnOne(kills: number): Promise<number> {
  const started = performance.now();
  const report = await storm(kills, (kill, books) => {
    console.log(`kill ${kill}/${kills}: ${books.acknowledged.size} acknowledged, ${books.told.size} told`);
  });
  const { kills: _, acknowledged: __, attempts: ___, webhooks: ____, ...faults } = report;
  console.table({ ...report, seconds: Math.round((performance.now() - started) / 1_000) });
  console.log(`lost ${report.lost}, duplicated ${report.appliedTwice}`);
  return Object.values(faults).every(many => many === 0) ? 0 : 1;
}
