// A server on a PostgreSQL, from the setting that names it to an answer that outlives the server.

import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { freshDatabase, postgresMissing } from '../postgres.ts';
import { ADMIN, serverProcess } from '../server.ts';
import { hire, statusOf, submit, taskOf } from './crew.ts';
import { keyHeaders, openWire } from './wire.ts';

suite('on a PostgreSQL', { skip: postgresMissing }, () => {
  test('SAM-47 a server that is killed and started again on another machine goes on with what it had answered', async t => {
    const { url, drop } = await freshDatabase();
    const settings = { BATUTA_DATABASE_URL: url, BATUTA_DATABASE_CONNECTIONS: '5' };
    const folders = [0, 1].map(() => mkdtempSync(join(tmpdir(), 'batuta-on-postgres-')));
    const [here, there] = await Promise.all(folders.map(folder => serverProcess(folder, settings)));
    if (here === undefined || there === undefined) return assert.fail();
    t.after(async () => {
      await Promise.all([here.kill(), there.kill()]);
      for (const folder of folders) rmSync(folder, { recursive: true, force: true });
      await drop();
    });
    const credentials = keyHeaders({ api_key: ADMIN.key, api_secret: ADMIN.secret });
    await here.start();
    const before = await openWire(here.url, credentials);
    const worker = await hire(before, 'moved');
    await submit(before, taskOf('ended', 'moved'));
    await worker.complete(await worker.lease(), 'kept');
    await submit(before, taskOf('waiting', 'moved'));
    await here.kill();
    // What is sealed in the database opens with the house's keys alone: its nodes share them.
    const [from = '', to = ''] = folders.map(folder => join(folder, 'house-keys.json'));
    copyFileSync(from, to);
    await there.start();
    const after = await openWire(there.url, credentials);
    assert.equal((await statusOf(after, 'ended')).execution_details.output, 'kept');
    const successor = await hire(after, 'moved');
    await successor.complete(await successor.lease(), 'done elsewhere');
    assert.equal((await statusOf(after, 'waiting')).execution_details.output, 'done elsewhere');
  });
});
