// What doctor finds on machines that are well, and on ones that are not.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { running } from '../../test/e2e/running.ts';
import { systemClock } from '../runtime/clock.ts';
import { examineHost, examineInstallation } from './examine.ts';
import { type Finding, sandboxHint } from './examine-types.ts';

function directory(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'batuta-examine-'));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** The findings of a name, as `state detail`. */
function told(findings: readonly Finding[], name: string): readonly string[] {
  return findings.filter(finding => finding.name === name).map(({ state, detail }) => `${state} ${detail}`);
}

const hints = (findings: readonly Finding[]): string => findings.map(({ hint = '' }) => hint).join('\n');

test('on a machine that is well nothing is wrong before the first start, and looking changes nothing', async t => {
  const root = directory(t);
  const dataDir = join(root, 'not', 'yet');
  const findings = await examineHost({ environment: { BATUTA_PORT: '0', HOME: '/' }, flags: { dataDir } });
  assert.deepEqual(
    findings.filter(({ state }) => state === 'failed'),
    [],
  );
  assert.match(told(findings, 'node')[0] ?? '', /^ok Node \d+/);
  assert.deepEqual(told(findings, 'settings'), ['ok 1 from the environment, all valid']);
  assert.deepEqual(told(findings, 'data directory'), [`ok ${dataDir} will be made at the first start`]);
  assert.match(told(findings, 'database')[0] ?? '', /^ok none yet/);
  assert.match(told(findings, 'duckdb')[0] ?? '', /^ok DuckDB v\d/);
  assert.match(told(findings, 'chromium')[0] ?? '', /^(ok .*chrom.* is here|warning Chromium)/);
  assert.match(told(findings, 'model')[0] ?? '', /^warning no model provider .*BATUTA_MODEL_URL/);
  assert.equal(told(findings, 'quickjs').length + told(findings, 'sandbox').length, 2);
  assert.deepEqual(readdirSync(root), []);
});

test('a directory in use by a server is found well, with the version that serves', async t => {
  const house = await running();
  t.after(() => house.stop());
  const { port } = new URL(house.url);
  const findings = await examineInstallation({
    environment: {},
    flags: { dataDir: house.dataDir, port },
  });
  assert.match(told(findings, 'port')[0] ?? '', /^ok Batuta \S+ serves on 127\.0\.0\.1/);
  assert.deepEqual(told(findings, 'house-keys.json'), ['ok mode 0600']);
  assert.match(told(findings, 'database')[0] ?? '', /^ok schema \d+$/);
  assert.match(told(findings, 'clock')[0] ?? '', /^ok 20/);
  await house.admin.get('/api/v2/health/ready');
});

test('every wrong setting is told, each with what it should be', async t => {
  const dataDir = directory(t);
  const environment = {
    BATUTA_PROT: '1',
    BATUTA_LOG_LEVEL: 'loud',
    BATUTA_ALLOW_PRIVATE_TARGETS: '10.0.0.0/99',
    BATUTA_PORT: '0',
  };
  const findings = await examineInstallation({ environment, flags: { dataDir } });
  const settings = findings.filter(({ name }) => name === 'settings');
  assert.deepEqual(
    settings.map(({ state }) => state),
    ['failed', 'failed', 'failed'],
  );
  assert.match(hints(settings), /rename it to BATUTA_PORT/);
  assert.match(settings.map(({ detail }) => detail).join('\n'), /BATUTA_LOG_LEVEL is wrong/);
  assert.match(told(findings, 'port')[0] ?? '', /^ok any free one/);
  const file = join(dataDir, 'settings.json');
  writeFileSync(file, '{"queueMaximum": 1}');
  const flags = { dataDir, configFile: file, port: '0' };
  const fromFile = await examineInstallation({ environment: {}, flags });
  assert.match(told(fromFile, 'settings')[0] ?? '', /^failed unknown setting queueMaximum/);
});

test('keys others can read, keys that are gone, and a database of a newer program are found', async t => {
  const dataDir = directory(t);
  const look = (): Promise<readonly Finding[]> =>
    examineInstallation({ environment: { BATUTA_PORT: '0' }, flags: { dataDir } });
  const database = new DatabaseSync(join(dataDir, 'batuta.db'));
  database.exec('CREATE TABLE event (id, at); PRAGMA application_id = 0x42617475; PRAGMA user_version = 99');
  database.close();
  const gone = await look();
  assert.match(told(gone, 'house-keys.json')[0] ?? '', /^failed missing/);
  assert.match(told(gone, 'database')[0] ?? '', /^failed .*schema 99/);
  writeFileSync(join(dataDir, 'house-keys.json'), '{}');
  chmodSync(join(dataDir, 'house-keys.json'), 0o644);
  chmodSync(dataDir, 0o755);
  const open = await look();
  assert.match(told(open, 'house-keys.json')[0] ?? '', /^failed mode 0644/);
  assert.match(told(open, 'data directory')[0] ?? '', /^warning .*open to other users/);
  assert.match(hints(open), /chmod 600 .*house-keys\.json/);
});

test('a port that another program has is told apart from one a Batuta has, and a file is no data directory', async t => {
  const root = directory(t);
  writeFileSync(join(root, 'file'), '');
  const stranger = createServer((_, response) => response.end('{"version": "9"}')).listen(0, '127.0.0.1');
  t.after(() => stranger.close());
  await once(stranger, 'listening');
  const { port } = stranger.address() as AddressInfo;
  const flags = { dataDir: join(root, 'file'), port: String(port) };
  const findings = await examineInstallation({ environment: {}, flags });
  assert.deepEqual(told(findings, 'port'), [`failed another program listens on 127.0.0.1:${port}`]);
  assert.match(told(findings, 'data directory')[0] ?? '', /^failed .*file is not a directory/);
});

test('a clock that cannot be right, or is behind the last event, is found', async t => {
  const dataDir = directory(t);
  mkdirSync(join(dataDir, 'empty'));
  const at = (now: number, directory: string): Promise<readonly Finding[]> =>
    examineInstallation(
      { environment: { BATUTA_PORT: '0' }, flags: { dataDir: directory } },
      { ...systemClock, now: () => now },
    );
  assert.match(told(await at(0, join(dataDir, 'empty')), 'clock')[0] ?? '', /^failed 1970-01-01/);
  const now = Date.UTC(2027, 0, 1);
  const database = new DatabaseSync(join(dataDir, 'batuta.db'));
  database.exec(`CREATE TABLE event (id, at); INSERT INTO event VALUES (1, ${now + 3_600_000})`);
  database.exec('PRAGMA application_id = 0x42617475');
  database.close();
  assert.match(told(await at(now, dataDir), 'clock')[0] ?? '', /^failed .* is 3600 s behind the last event/);
});

test('the advice on sandboxes fits what stands in the way', () => {
  const advice = (missing: string, isContainer: boolean, kernel = {}): string =>
    sandboxHint({ missing, isContainer, kernel });
  assert.match(advice('bubblewrap (bwrap) is not installed', true), /install the packages bubblewrap/);
  assert.match(advice('setting up uid map: Permission denied', true), /--security-opt seccomp=unconfined/);
  const restricted = { 'kernel/apparmor_restrict_unprivileged_userns': '1' };
  assert.match(advice('setting up uid map: Permission denied', false, restricted), /AppArmor/);
  assert.match(
    advice('no', false, { 'kernel/unprivileged_userns_clone': '0' }),
    /unprivileged_userns_clone=1/,
  );
  assert.match(advice('no', false, { 'user/max_user_namespaces': '0' }), /max_user_namespaces above 0/);
  assert.match(advice('no', false), /JavaScript runs in WebAssembly/);
});
