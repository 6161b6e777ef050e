// `npm run chaos -- [kills]`: the long storm, 50 kills unless told otherwise; ends with 1 if anything was lost or doubled.

import { storm } from './storm.ts';

const kills = Number(process.argv[2] ?? 50);
const started = performance.now();
const report = await storm(kills, (kill, books) => {
  process.stdout.write(
    `kill ${kill}/${kills}: ${books.acknowledged.size} acknowledged, ${books.told.size} told\n`,
  );
});
const {
  kills: _kills,
  acknowledged: _acknowledged,
  attempts: _attempts,
  webhooks: _webhooks,
  ...faults
} = report;
console.table({ ...report, seconds: Math.round((performance.now() - started) / 1_000) });
process.exit(Object.values(faults).every(count => count === 0) ? 0 : 1);
