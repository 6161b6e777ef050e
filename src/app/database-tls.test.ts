// TLS to the database, against a PostgreSQL that offers it under a CA made here: every way in the program has, and every way it must
// not be let in or let itself in.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { type Certificate, makeAuthority, opensslMissing } from '../../test/certificates.ts';
import { type PostgresServer, postgresMissing, startPostgres } from '../../test/postgres.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { systemRandom } from '../runtime/random.ts';
import { openPostgres } from '../store/postgres/open.ts';
import type { StoreHint } from '../store/rows.ts';
import { openSqlite } from '../store/sqlite/open.ts';
import { loadConfig } from './config.ts';
import { copyStore } from './copy-store.ts';
import { examineDatabase } from './examine-database.ts';
import { migrateStore } from './migrate.ts';
import { openBlobs } from './registry.ts';

const auditKey = Buffer.alloc(32, 5);

describe('TLS to the database', { skip: postgresMissing || opensslMissing }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'batuta-tls-'));
  let ours: Certificate;
  let another: Certificate;
  let server: PostgresServer;
  let made = 0;

  before(async () => {
    const authority = makeAuthority(folder, 'ours');
    ours = authority;
    another = makeAuthority(folder, 'another');
    // For one name of this host, not for its address.
    server = await startPostgres({ tls: authority.sign('database', 'DNS:localhost') });
  });

  after(async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function database(): Promise<string> {
    made += 1;
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    await client.query(`CREATE DATABASE tls_${made}`);
    await client.end();
    return `tls_${made}`;
  }

  function urlOf(name: string, tls: Readonly<Record<string, string>>, host = 'localhost'): string {
    const { username, port } = new URL(server.url);
    return `postgres://${username}@${host}:${port}/${name}?${new URLSearchParams(tls)}`;
  }

  const full = () => ({ sslmode: 'verify-full', sslrootcert: ours.certificate });

  /** What the connections to a database are, as the database sees them. */
  async function seen(name: string): Promise<{ readonly encrypted: number; readonly plain: number }> {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    const { rows } = await client.query(
      `SELECT count(*) FILTER (WHERE ssl)::integer AS encrypted, count(*) FILTER (WHERE NOT ssl)::integer AS plain
       FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE datname = $1`,
      [name],
    );
    await client.end();
    return rows[0];
  }

  const open = (url: string) => openPostgres({ url, auditKey, connections: 4 });

  test('verify-full with sslrootcert: store, hints, blobs, migration and doctor all go encrypted', async t => {
    const name = await database();
    const url = urlOf(name, full());
    const config = loadConfig({ environment: { BATUTA_DATABASE_URL: url } });
    assert.equal((await migrateStore(config, { check: false })).changes, true);
    const [one, other] = [await open(url), await open(url)];
    const blobs = await openBlobs(config, systemRandom);
    t.after(() => Promise.all([one.stop(), other.stop(), blobs.stop()]));
    const heard = new Promise<StoreHint>(resolve => other.hear(resolve));
    // Until it listens a hint may pass it by.
    const write = { tenant: DEFAULT_TENANT, kind: 'thing', id: 'a', body: {} };
    const telling = setInterval(() => void one.putDocuments([write]), 50);
    assert.deepEqual((await heard.finally(() => clearInterval(telling))).documents, ['thing']);
    const { sha256 } = await blobs.write(Readable.from([Buffer.from('kept')]), 100);
    assert.equal((await buffer(await blobs.read(sha256))).toString(), 'kept');
    const { encrypted, plain } = await seen(name);
    assert.ok(encrypted >= 4, `${encrypted} connections, those that listen and those of blobs among them`);
    assert.equal(plain, 0);
    const findings = await examineDatabase({ ...config, databaseUrl: url });
    const found = findings.filter(({ name: what }) => what === 'database' || what === 'notifications');
    assert.deepEqual(
      found.map(({ state }) => state),
      ['ok', 'ok'],
    );
  });

  test('copy moves a store into a database over TLS', async t => {
    const dataDir = mkdtempSync(join(folder, 'data-'));
    const source = await openSqlite({ path: join(dataDir, 'batuta.db'), auditKey });
    await source.putDocuments([{ tenant: DEFAULT_TENANT, kind: 'thing', id: 'a', body: { moved: true } }]);
    await source.stop();
    const url = urlOf(await database(), full());
    const report = await copyStore({ from: `sqlite:${dataDir}`, to: url }, loadConfig({ environment: {} }));
    assert.ok(report.rows >= 1);
    const store = await open(url);
    t.after(() => store.stop());
    const [document] = await store.documents({ tenant: DEFAULT_TENANT, kind: 'thing' });
    assert.deepEqual(document?.body, { moved: true });
  });

  test('a database under another CA or another name is refused at every door, and the error names the setting', async () => {
    const name = await database();
    const dataDir = mkdtempSync(join(folder, 'data-'));
    await (await openSqlite({ path: join(dataDir, 'batuta.db'), auditKey })).stop();
    const wrong = {
      'from the CA of sslrootcert': urlOf(name, { ...full(), sslrootcert: another.certificate }),
      'another host than the URL names, as sslmode=verify-full noticed': urlOf(name, full(), '127.0.0.1'),
    };
    for (const [words, url] of Object.entries(wrong)) {
      const refusal = { code: 'unavailable', message: new RegExp(`${words}.*BATUTA_DATABASE_URL`) };
      const config = loadConfig({ environment: { BATUTA_DATABASE_URL: url } });
      await assert.rejects(open(url), refusal);
      await assert.rejects(openBlobs(config, systemRandom), refusal);
      await assert.rejects(migrateStore(config, { check: false }), refusal);
      await assert.rejects(copyStore({ from: `sqlite:${dataDir}`, to: url }, config), refusal);
      const [finding] = await examineDatabase({ ...config, databaseUrl: url });
      assert.equal(finding?.state, 'failed');
      assert.match(finding.detail, refusal.message);
    }
    const { encrypted, plain } = await seen(name);
    assert.deepEqual([encrypted, plain], [0, 0], 'nobody is left connected');
  });

  test('require encrypts whatever the certificate; with a CA it must be of that CA, under any name', async t => {
    const name = await database();
    const store = await open(urlOf(name, { sslmode: 'require' }, '127.0.0.1'));
    t.after(() => store.stop());
    assert.equal((await store.measure()).writable, true);
    const { encrypted, plain } = await seen(name);
    assert.ok(encrypted >= 1 && plain === 0, `${encrypted} encrypted, ${plain} plain`);
    for (const sslmode of ['require', 'verify-ca']) {
      const own = await open(urlOf(name, { sslmode, sslrootcert: ours.certificate }, '127.0.0.1'));
      await own.stop();
      const foreign = urlOf(name, { sslmode, sslrootcert: another.certificate });
      await assert.rejects(open(foreign), { code: 'unavailable', message: /from the CA of sslrootcert/ });
    }
    // A host that is not this one, as far as its name tells.
    const url = urlOf(name, { sslmode: 'require' }, '0.0.0.0');
    const config = loadConfig({ environment: { BATUTA_DATABASE_URL: url } });
    const findings = await examineDatabase({ ...config, databaseUrl: url });
    const told = findings.find(({ name: what }) => what === 'database');
    assert.equal(told?.state, 'warning');
    assert.match(`${told?.detail} ${told?.hint}`, /with TLS to whoever answers .*verify-full/);
  });

  test('a URL that asks for TLS from a database without it is refused, not served in the clear', async t => {
    const bare = await startPostgres();
    t.after(() => bare.stop());
    for (const sslmode of ['require', 'verify-full']) {
      await assert.rejects(open(`${bare.url}?sslmode=${sslmode}`), {
        code: 'unavailable',
        message: /does not offer TLS.*sslmode in BATUTA_DATABASE_URL/,
      });
    }
  });

  test('a URL that cannot be meant is told what to say instead', async () => {
    const wrong: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
      [{ sslmode: 'prefer' }, /sslmode=prefer is not offered.*verify-full/],
      [{ sslmode: 'verify-ca' }, /verify-ca needs a CA of your own/],
      [{ ...full(), sslrootcert: join(folder, 'nowhere.crt') }, /sslrootcert=.*nowhere.crt cannot be read/],
    ];
    for (const [tls, message] of wrong)
      await assert.rejects(open(urlOf('postgres', tls)), { code: 'invalid_request', message });
  });
});
