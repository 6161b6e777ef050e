import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, suite, test } from 'node:test';
import { running } from '../e2e/running.ts';
import type { Loose } from '../serve.ts';

const house = await running();
const { admin } = house;
const database = new DatabaseSync(join(house.dataDir, 'batuta.db'), { timeout: 5_000 });
after(async () => {
  database.close();
  await house.stop();
});

const audit = async (query: string): Promise<Loose[]> =>
  (await admin.get(`/api/v2/audit?${query}`)).body.entries;
const verdict = async (): Promise<Loose> => (await admin.get('/api/v2/audit/verify')).body;

/** Entries are written shortly after what they tell of. */
async function entries(query: string, count: number): Promise<Loose[]> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const found = await audit(query);
    if (found.length >= count) return found;
    assert.ok(performance.now() < deadline, `${found.length} entries of ${query}`);
  }
}

for (let n = 0; n < 5; n++) await admin.ask('PUT', `/api/v2/secrets/s${n}`, { body: { value: 'v' } });
await admin.as({ authorization: 'Bearer x.y.z' }).get('/api/v2/agents', { expect: 401 });

suite('the audit', () => {
  test('SAM-205 tells who did what, failed attempts included, and is intact while nobody touches it', async () => {
    const written = await entries('action=secret.written', 5);
    assert.deepEqual(
      written.map(one => one.object),
      ['s0', 's1', 's2', 's3', 's4'],
    );
    const principal = `key:${house.server.credentials.api_key}`;
    assert.ok(written.every(one => one.principal === principal && one.request_id !== undefined));
    const [refused] = await entries('action=auth.refused', 1);
    assert.equal(refused.detail.address, '127.0.0.1');
    const { intact, entries: checked } = await verdict();
    assert.equal(intact, true);
    assert.ok(checked > 5);
  });

  test('SAM-205 an entry altered, forged or taken out of the file shows, and where', async () => {
    const [, , third] = await entries('action=secret.written', 5);
    const { sequence } = third;
    const here = `tenant = 'default' AND sequence = ${sequence}`;
    const tamperings: readonly string[] = [
      `UPDATE audit SET object = 's9' WHERE ${here}`,
      `UPDATE audit SET principal = 'key:somebody' WHERE ${here}`,
      `UPDATE audit SET at = at - 1 WHERE ${here}`,
      `UPDATE audit SET detail = '{"forged":true}' WHERE ${here}`,
      `UPDATE audit SET request_id = NULL WHERE ${here}`,
      `UPDATE audit SET hash = (SELECT hash FROM audit LIMIT 1) WHERE ${here}`,
      `DELETE FROM audit WHERE ${here}`,
    ];
    for (const tampering of tamperings) {
      database.exec(`CREATE TEMP TABLE kept AS SELECT * FROM main.audit WHERE ${here}`);
      assert.ok(Number(database.prepare(tampering).run().changes) > 0, tampering);
      const { intact, broken_at: broken } = await verdict();
      assert.deepEqual([intact, broken], [false, sequence], tampering);
      // Nothing but this row, for the server goes on writing.
      database.exec(`DELETE FROM main.audit WHERE ${here}`);
      database.exec('INSERT INTO main.audit SELECT * FROM kept; DROP TABLE kept');
      assert.equal((await verdict()).intact, true, 'the file was not put back as it was');
    }
  });

  test('SAM-205 newest entries cut off the file show, and still do once others have taken their numbers', async () => {
    const newest = () =>
      database.prepare("SELECT max(sequence) AS sequence FROM audit WHERE tenant = 'default'").get()
        ?.sequence;
    const headOf = () => {
      const kept = database
        .prepare("SELECT body FROM document WHERE kind = 'audit_head' AND tenant = 'default'")
        .get();
      return kept === undefined ? 0 : JSON.parse(String(kept.body)).sequence;
    };
    const deadline = performance.now() + 10_000;
    while (headOf() !== newest()) {
      assert.ok(performance.now() < deadline, 'the head stays behind');
      await new Promise(resolve => setImmediate(resolve));
    }
    const last = Number(newest());
    database.exec(`DELETE FROM audit WHERE tenant = 'default' AND sequence > ${last - 2}`);
    const cut = await verdict();
    assert.deepEqual([cut.intact, cut.broken_at, cut.fault], [false, last - 1, 'missing']);
    for (let n = 0; n < 5; n++) await admin.ask('PUT', `/api/v2/secrets/t${n}`, { body: { value: 'v' } });
    await entries('action=secret.written&object=t4', 1);
    const grown = await verdict();
    assert.deepEqual([grown.intact, grown.broken_at, grown.fault], [false, last, 'altered']);
  });
});
