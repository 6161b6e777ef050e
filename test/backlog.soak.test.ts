// What a large backlog costs, in statements, rows and plans, which are the same on every machine; `bench/backlog.ts` has the times.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync, StatementSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../src/runtime/clock.ts';
import { systemRandom } from '../src/runtime/random.ts';
import { openSqliteInProcess } from '../src/store/sqlite/open.ts';
import { backlogTask, fillBacklog, holdLeases } from './backlog.ts';
import { serve } from './serve.ts';

const BEARER = { authorization: 'Bearer admin', 'content-type': 'application/json' };
/** What else the server does meanwhile only adds to a count. */
const TRIES = 7;
const TEST_MS_MAX = 300_000;

interface Cost {
  readonly statements: number;
  readonly rows: number;
}

/** Counts the statements that run here, the rows they give back, and remembers their text. */
function watchStatements(t: TestContext) {
  const counted = { statements: 0, rows: 0 };
  const texts = new Set<string>();
  const noting = (name: 'get' | 'all' | 'run', rowsOf: (answer: unknown) => number): void => {
    const verb = StatementSync.prototype[name] as (...values: unknown[]) => unknown;
    t.mock.method(StatementSync.prototype, name, function (this: StatementSync, ...values: unknown[]) {
      const answer = verb.apply(this, values);
      counted.statements += 1;
      counted.rows += rowsOf(answer);
      texts.add(this.sourceSQL);
      return answer;
    });
  };
  noting('get', answer => (answer === undefined ? 0 : 1));
  noting('all', answer => (answer as readonly unknown[]).length);
  noting('run', () => 0);
  return {
    texts,
    async costOf(work: (turn: number) => Promise<unknown>): Promise<Cost> {
      const costs: Cost[] = [];
      for (let turn = 0; turn < TRIES; turn++) {
        Object.assign(counted, { statements: 0, rows: 0 });
        await work(turn);
        costs.push({ ...counted });
      }
      return costs.reduce((least, one) => (one.statements < least.statements ? one : least));
    },
  };
}

/** Serves a backlog and answers what each of the hot calls costs over it. */
async function measure(
  t: TestContext,
  { waiting, leased }: { readonly waiting: number; readonly leased: number },
) {
  const dir = mkdtempSync(join(tmpdir(), 'batuta-backlog-'));
  const path = join(dir, 'batuta.db');
  const store = openSqliteInProcess({
    path,
    clock: systemClock,
    random: systemRandom,
    auditKey: Buffer.alloc(32),
  });
  await fillBacklog(store, waiting + leased);
  const served = await serve({ dir, store });
  t.after(async () => {
    await served.stop();
    await store.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const leases = await holdLeases(served.url, leased, BEARER);
  const { costOf, texts } = watchStatements(t);
  const status = async (id: string | undefined, state: string): Promise<void> => {
    const { body } = await served.ask('GET', `/api/v2/task-status/${id}`);
    assert.equal(body.current_status.state, state, JSON.stringify(body));
  };
  const costs = {
    statusOfWaiting: await costOf(turn => status(`task-${waiting + leased - 1 - turn}`, 'queued')),
    statusOfLeased: await costOf(turn => status(leases.held[turn]?.task_id, 'running')),
    submit: await costOf(async turn => {
      const { status } = await served.ask('POST', '/api/v2/execute-task', {
        body: backlogTask(`late-${turn}`),
      });
      assert.equal(status, 200);
    }),
  };
  assert.deepEqual(await leases.beatOnce(), { kept: leased, lost: 0 });
  const measured = await store.measure();
  assert.deepEqual([measured.leased, measured.ready], [leased, waiting + TRIES]);
  t.mock.restoreAll();
  return { costs, texts, path };
}

/** Steps of the plans of these statements that go through a whole table. */
function scansIn(path: string, texts: Iterable<string>): readonly string[] {
  const database = new DatabaseSync(path, { readOnly: true });
  const scans: string[] = [];
  for (const text of texts) {
    if (!/^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b/i.test(text)) continue;
    const plan = database.prepare(`EXPLAIN QUERY PLAN ${text}`).all() as { readonly detail: string }[];
    for (const { detail } of plan)
      if (/^SCAN (?!json_each|value|CONSTANT ROW|\(|\w+ VIRTUAL TABLE)/.test(detail))
        scans.push(`${detail}: ${text}`);
  }
  database.close();
  return scans;
}

test('SAM-231 over 100,000 waiting and 2,000 leased tasks a status and a submit run as many statements and read as many rows as over a thousand, none of which goes through a table; and every lease is kept', {
  timeout: TEST_MS_MAX,
}, async t => {
  const small = await measure(t, { waiting: 1_000, leased: 20 });
  const large = await measure(t, { waiting: 100_000, leased: 2_000 });
  assert.deepEqual(large.costs, small.costs);
  assert.deepEqual(scansIn(large.path, large.texts), []);
  assert.ok(large.texts.size >= 10, `${large.texts.size} statements were seen`);
});
