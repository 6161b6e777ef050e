import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeDataset } from '../../examples/demo/dataset.ts';
import { runExample, survivorsOf } from './script.ts';

const SHOPS = 12;
const REGIONS = 6;
/** Three aggregations, the trend, an outlook and a summary for each region, a report for each shop, the workflow; and the seasons in Python. */
const TASKS = 3 + 1 + 2 * REGIONS + SHOPS + 1;
/** Quarters, the strongest of them, a chapter for each region, the total. */
const WORKFLOW_TASKS = 3 + REGIONS;
const SECONDS_MAX = 60;

test('the demo loses nothing and does nothing twice though its server is killed half-way, and leaves nothing behind', async t => {
  const temporary = mkdtempSync(join(tmpdir(), 'batuta-demo-test-'));
  t.after(() => rmSync(temporary, { recursive: true, force: true }));
  const begun = performance.now();
  const args = ['--json', '--rows', '10000', '--shops', String(SHOPS)];

  const { exitCode, stdout, stderr, groupId } = await runExample('demo/demo.ts', {
    args,
    env: { TMPDIR: temporary },
  });

  assert.equal(exitCode, 0, `${stdout}${stderr}`);
  const summary = JSON.parse(stdout);
  const { lost, duplicated, failed, webhooks_missing: missing } = summary;
  assert.deepEqual({ lost, duplicated, failed, missing }, { lost: 0, duplicated: 0, failed: 0, missing: 0 });
  const tasks = summary.python ? TASKS + 1 : TASKS;
  assert.deepEqual([summary.tasks, summary.completed], [tasks, tasks]);
  assert.ok(summary.done_at_kill > 0 && summary.done_at_kill < tasks, 'the kill came half-way');
  assert.ok(summary.held_at_kill > 0, 'the kill interrupted something');
  assert.equal(summary.attempts, tasks + summary.attempts_repeated);
  assert.ok(summary.attempts_repeated > 0, 'something interrupted was begun again');
  assert.ok(summary.attempts_resumed > 0, 'something begun again went on from its checkpoint');
  assert.ok(summary.webhooks >= 2 * tasks, 'each task told of its start and its end');
  assert.ok(summary.webhook_repeats_dropped >= 2, 'withheld acknowledgements made the server repeat itself');
  assert.equal(summary.forgeries_refused, 1);
  assert.equal(summary.data_agrees, true);
  assert.deepEqual([summary.workflow_tasks, summary.workflow_agrees], [WORKFLOW_TASKS, true]);
  assert.ok((performance.now() - begun) / 1_000 < SECONDS_MAX);
  assert.deepEqual(readdirSync(temporary), []);
  assert.deepEqual(await survivorsOf(groupId), []);
});

test('a demo that is interrupted puts everything away and says so by its exit code', async t => {
  const temporary = mkdtempSync(join(tmpdir(), 'batuta-demo-test-'));
  t.after(() => rmSync(temporary, { recursive: true, force: true }));

  const { exitCode, groupId } = await runExample('demo/demo.ts', {
    env: { TMPDIR: temporary },
    heard: (line, pid) => {
      if (line.includes('a server is ready')) process.kill(pid, 'SIGINT');
    },
  });

  assert.equal(exitCode, 130);
  assert.deepEqual(readdirSync(temporary), []);
  assert.deepEqual(await survivorsOf(groupId), []);
});

test('the data set is the same for a seed, another for another, and its spoilt rows can be told', () => {
  const options = { rows: 10_000, seed: 7, shops: SHOPS };
  const dataset = makeDataset(options);
  assert.equal(makeDataset(options).csv, dataset.csv);
  assert.notEqual(makeDataset({ ...options, seed: 8 }).csv, dataset.csv);

  const rows = dataset.csv
    .trimEnd()
    .split('\n')
    .slice(1)
    .map(line => line.split(','));
  const sound = rows.filter(([, , , , , quantity, price]) => Number(quantity) > 0 && price !== '');
  const cents = sound.reduce(
    (sum, [, , , , , quantity, price]) => sum + Math.round(100 * Number(quantity) * Number(price)),
    0,
  );
  assert.equal(rows.length, 10_000);
  assert.equal(rows.length - sound.length, dataset.spoilt);
  assert.ok(dataset.spoilt > 0);
  assert.equal(cents, dataset.revenueCents);
  assert.equal(new Set(rows.map(([, , shop]) => shop)).size, SHOPS);
});
