// A database that cannot be reached: what the store says then.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { freshDatabase, postgresMissing, startPostgres } from '../../../test/postgres.ts';
import type { TaskId } from '../../domain/ids.ts';
import { ACME } from '../conformance-setup.ts';
import { openPostgres } from './open.ts';

describe('a PostgreSQL that is not there', { skip: postgresMissing }, () => {
  test('a database that is away is unavailable, and health says that it cannot be written', async t => {
    const server = await startPostgres();
    const store = await openPostgres({ url: server.url, auditKey: 'k', patienceMs: 500 });
    t.after(() => store.stop());
    assert.equal((await store.measure()).writable, true);
    await server.stop();
    // Figures that were dear to take may be a second old.
    const until = performance.now() + 5_000;
    while ((await store.measure()).writable && performance.now() < until) await pause(50);
    assert.equal((await store.measure()).writable, false);
    await assert.rejects(store.read([{ tenant: ACME, id: 'a' as TaskId }]), { code: 'unavailable' });
  });

  test('a URL that leads nowhere, or to no database, is unavailable with a hint', async t => {
    const { url, drop } = await freshDatabase();
    t.after(drop);
    const elsewhere = new URL(url);
    elsewhere.pathname = '/nowhere';
    await assert.rejects(openPostgres({ url: elsewhere.href, auditKey: 'k' }), /no such database/);
  });
});
