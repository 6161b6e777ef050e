import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { findConnection } from './connection.ts';
import { call, directory, shell } from './shell.test.ts';

const kept = {
  url: 'http://127.0.0.1:8401',
  api_key: 'file-key',
  api_secret: 'file-secret',
  jwt_secret: 'x',
};

test('flags win over the environment, the environment over credentials.json, and that over nothing', context => {
  const dataDir = directory(context);
  writeFileSync(join(dataDir, 'credentials.json'), JSON.stringify(kept));
  const environment = {
    BATUTA_URL: 'http://env',
    BATUTA_API_KEY: 'env-key',
    BATUTA_API_SECRET: 'env-secret',
  };
  const flags = { url: 'http://flag', apiKey: 'flag-key', apiSecret: 'flag-secret', dataDir };
  assert.deepEqual(findConnection(flags, environment), {
    url: 'http://flag',
    credentials: { apiKey: 'flag-key', apiSecret: 'flag-secret' },
    source: 'flags',
  });
  assert.deepEqual(findConnection({ dataDir }, environment), {
    url: 'http://env',
    credentials: { apiKey: 'env-key', apiSecret: 'env-secret' },
    source: 'environment',
  });
  assert.deepEqual(findConnection({}, { BATUTA_DATA: dataDir }), {
    url: 'http://127.0.0.1:8401',
    credentials: { apiKey: 'file-key', apiSecret: 'file-secret' },
    source: 'credentials.json',
  });
  assert.deepEqual(findConnection({ dataDir: '/nowhere' }, {}), {
    url: 'http://127.0.0.1:8400',
    credentials: undefined,
    source: 'nowhere',
  });
  assert.deepEqual(findConnection({ dataDir, token: 'jwt' }, environment).credentials, { token: 'jwt' });
});

test('the key of the server next door is not shown to a server elsewhere', context => {
  const dataDir = directory(context);
  writeFileSync(join(dataDir, 'credentials.json'), JSON.stringify(kept));
  assert.equal(findConnection({ dataDir, url: 'https://elsewhere.example' }, {}).credentials, undefined);
  assert.equal(findConnection({ dataDir, url: 'http://127.0.0.1.example.com' }, {}).credentials, undefined);
  assert.notEqual(findConnection({ dataDir, url: 'http://localhost:8401' }, {}).credentials, undefined);
});

test('a half of a key, a URL that is none and a broken credentials.json are told before anything is sent', async context => {
  const dataDir = directory(context);
  writeFileSync(join(dataDir, 'credentials.json'), '{');
  for (const [words, message] of [
    ['tasks --api-key k', /--api-key and --api-secret go together/],
    ['tasks --url localhost:8400', /"localhost:8400" is not the URL of a server/],
    [`tasks --data-dir ${dataDir}`, /credentials\.json cannot be read/],
  ] as const) {
    const { exitCode, err } = await call(words);
    assert.equal(exitCode, 2);
    assert.match(err, message);
  }
});

test('a call proves itself with what was found', async context => {
  const { run, end } = await shell(context, () => ({ json: { tasks: [], not_found: [], total: 0 } }));
  await run('tasks');
  await run('tasks --token jwt-1');
  assert.deepEqual(
    end.asked.map(({ headers }) => [headers['x-api-key'], headers.authorization]),
    [
      ['key', undefined],
      [undefined, 'Bearer jwt-1'],
    ],
  );
});
