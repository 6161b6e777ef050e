import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wireError } from '../sdk/far-end.test.ts';
import type { CommandSpec } from './command.ts';
import type { AppActions, CopiedStore } from './host.ts';
import { commandsOf } from './program.ts';
import { call, shell } from './shell.test.ts';

const COPIED: CopiedStore = {
  ...{ from: 'batuta.db', to: 'postgres://there/b', rows: 3, blobs: 2, blobs_missing: 1 },
  ...{ blobs_stay_in: 'blobs', keys_in: ['house-keys.json'], altered: { log: 1 } },
  tables: [
    { table: 'task', rows: 3, checksum: 'ab'.repeat(32) },
    { table: 'edge', rows: 0, checksum: '0'.repeat(64) },
  ],
};

const app: AppActions = {
  version: '1.2.3',
  serve: async () => ({ url: 'http://here', dataDir: '.batuta', ended: Promise.resolve(0) }),
  demo: async () => 0,
  backup: async () => ({ files: 3 }),
  verifyBackup: async () => ({ intact: true }),
  restore: async () => ({ tasks: 7 }),
  migrate: async () => ({ database: 'here', schema_from: 1, schema_to: 1, changes: false }),
  copy: async () => COPIED,
  examine: async () => [],
  validateMessage: async () => ({ valid: true, type: null, faults: [], assumed: [] }),
  translateMessage: async () => ({}),
};

function runnables(
  commands: readonly CommandSpec[],
  path: readonly string[] = [],
): readonly (readonly [string[], CommandSpec])[] {
  return commands.flatMap(spec => {
    const own = [...path, spec.name];
    return spec.subcommands === undefined ? [[own, spec] as const] : runnables(spec.subcommands, own);
  });
}

test('every command the contract names is there', () => {
  const names = commandsOf({ app }).map(({ name }) => name);
  const wanted =
    'serve demo submit status watch logs cancel pause resume retry tasks schedules workflow agents nodes canaries deliveries send inbox dlq trace validate translate keys token backup restore migrate copy doctor completion';
  assert.deepEqual(names.toSorted(), wanted.split(' ').toSorted());
});

test('every command has help with an example that begins with its own name, and says --json', async () => {
  for (const [path, spec] of runnables(commandsOf({ app }))) {
    const { exitCode, out, err } = await call([...path, '--help'], { app });
    assert.deepEqual([exitCode, err], [0, ''], path.join(' '));
    assert.match(out, /--json/, path.join(' '));
    assert.ok(spec.examples.length > 0);
    for (const example of spec.examples)
      assert.ok(out.includes(`$ ${example}`), `${path.join(' ')}: ${example}`);
    assert.ok(
      spec.examples.every(example => example.includes(`batuta ${path[0]}`)),
      path.join(' '),
    );
  }
});

test('an action the program lacks is not offered', async () => {
  const { exitCode, err } = await call('backup --to x');
  assert.equal(exitCode, 2);
  assert.match(err, /unknown command 'backup'/);
});

test('a misspelt command, subcommand or option is told with the one that was meant', async () => {
  for (const [words, message, hint] of [
    ['stauts x', "unknown command 'stauts'", 'did you mean status?'],
    ['agents darin w', 'agents has no command "darin"', 'did you mean drain?'],
    ['tasks --limti 3', "unknown option '--limti'", 'did you mean --limit?'],
    ['tasks --status runing', "option '-s, --status <state>' argument 'runing' is invalid", undefined],
    ['status', "missing required argument 'id'", undefined],
    ['watch a b', "too many arguments for 'watch'", undefined],
    ['tasks --limit many', '--limit must be a whole number from 1 to 1000, not "many"', undefined],
    ['tasks --limit 0', '--limit must be a whole number from 1 to 1000, not "0"', undefined],
    ['completion powershell', 'there is no completion for "powershell"', 'one of bash, zsh, fish'],
  ] as const) {
    const { exitCode, out, err } = await call(words);
    assert.deepEqual([exitCode, out], [2, ''], words);
    assert.ok(err.startsWith(`error: ${message}`), `${words}: ${err}`);
    if (hint !== undefined) assert.ok(err.includes(`hint: ${hint}`), `${words}: ${err}`);
  }
});

test('with --json a failure is one JSON document on standard output, and nothing else anywhere', async () => {
  const { exitCode, json, err } = await call('stauts --json');
  assert.equal(err, '');
  assert.equal(exitCode, 2);
  assert.deepEqual(json, {
    error: { code: 'USAGE', message: "unknown command 'stauts'", hint: 'did you mean status?', exit_code: 2 },
  });
});

test('no words at all print help to standard error and count as a mistake', async () => {
  const { exitCode, out, err } = await call([]);
  assert.deepEqual([exitCode, out], [2, '']);
  assert.match(err, /Usage: batuta/);
});

test('each kind of refusal ends with its own exit code, a hint, and the request to look up', async context => {
  let refusal = wireError(401, 'UNAUTHORIZED');
  const { run } = await shell(context, () => refusal);
  for (const [status, code, exitCode] of [
    [401, 'UNAUTHORIZED', 4],
    [403, 'FORBIDDEN', 4],
    [404, 'TASK_NOT_FOUND', 5],
    [409, 'CONFLICT', 6],
    [409, 'INVALID_STATE', 6],
    [400, 'INVALID_REQUEST', 7],
    [422, 'POLICY_VIOLATION', 7],
    [429, 'RATE_LIMITED', 8],
    [503, 'SERVICE_UNAVAILABLE', 8],
    [500, 'INTERNAL_ERROR', 1],
  ] as const) {
    refusal = wireError(status, code);
    const printed = await run('status t1');
    assert.equal(printed.exitCode, exitCode, code);
    assert.match(printed.err, new RegExp(`^error: refused: ${code}`));
    assert.match(printed.err, /request req-1/);
  }
});

test('every fault of a refused request is listed', async context => {
  const errors = [
    { field: 'timeout', message: 'must be at most 604800' },
    { field: 'task_id', message: 'has a blank' },
  ];
  const { run } = await shell(context, () => wireError(400, 'INVALID_REQUEST', { details: { errors } }));
  const { err } = await run('status t1');
  assert.match(err, / {2}- timeout must be at most 604800\n {2}- task_id has a blank\n/);
});

test('a server that cannot be reached is said to be so, with what to do', async () => {
  const { exitCode, err } = await call('tasks --url http://127.0.0.1:1');
  assert.equal(exitCode, 3);
  assert.match(err, /^error: no answer from http:\/\/127\.0\.0\.1:1: /);
  assert.match(err, /hint: .*batuta serve/);
});

test('Ctrl-C ends a call with 130 and no complaint', async context => {
  const interrupt = new AbortController();
  const { run } = await shell(context, () => {
    interrupt.abort(new Error('interrupted'));
    return new Promise(() => undefined);
  });
  assert.deepEqual(pick(await run('status t1', { signal: interrupt.signal })), [130, '', '']);
});

test('serve says where it serves and ends as its server does', async () => {
  const flags: unknown[] = [];
  const ended = Promise.resolve(0);
  const serve: AppActions['serve'] = async given => {
    flags.push(given);
    return { url: 'http://127.0.0.1:9', dataDir: '/d', ended };
  };
  const words = 'serve --port 9 --host 127.0.0.1 --data /d --database-url postgres://x --config c.json';
  const { exitCode, out, err } = await call(words, { app: { serve } });
  assert.deepEqual([exitCode, out], [0, 'Batuta serves on http://127.0.0.1:9\n']);
  assert.match(err, /\/d\/credentials\.json/);
  assert.deepEqual(flags, [
    { port: '9', host: '127.0.0.1', dataDir: '/d', databaseUrl: 'postgres://x', configFile: 'c.json' },
  ]);
  assert.deepEqual((await call('serve --json', { app: { serve } })).lines, [
    { url: 'http://127.0.0.1:9', data_dir: '/d' },
  ]);
});

test('backup, verify, restore and demo reach what does them', async () => {
  const asked: unknown[] = [];
  const noting =
    <Answer>(answer: Answer) =>
    async (options: unknown): Promise<Answer> => {
      asked.push(options);
      return answer;
    };
  const actions: Partial<AppActions> = {
    backup: noting({ path: '/b/1', files: 3 }),
    verifyBackup: noting({ intact: true }),
    restore: noting({ tasks: 7 }),
    demo: noting(0),
  };
  const backup = await call('backup --to /b --data /d', { app: actions });
  assert.match(backup.out, /backed up\n.*path .*\/b\/1/);
  assert.deepEqual((await call('backup verify /b/1 --json', { app: actions })).json, { intact: true });
  assert.deepEqual((await call('restore /b/1 --force --json', { app: actions })).json, { tasks: 7 });
  assert.equal((await call('demo --json', { app: actions })).exitCode, 0);
  assert.deepEqual(asked, [
    { to: '/b', dataDir: '/d' },
    '/b/1',
    { from: '/b/1', force: true },
    { json: true },
  ]);
});

function pick({ exitCode, out, err }: { exitCode: number; out: string; err: string }) {
  return [exitCode, out, err];
}

test('migrate says from and to, and with --check ends with 1 where something would change', async () => {
  const migrate: AppActions['migrate'] = async ({ check, databaseUrl = 'none' }) => ({
    ...{ database: databaseUrl, schema_from: 0, schema_to: 2, changes: databaseUrl !== 'done' || check },
  });
  const migrated = await call('migrate --database-url postgres://db/b', { app: { ...app, migrate } });
  assert.deepEqual([migrated.exitCode, migrated.out], [0, 'migrated  schema none → 2 in postgres://db/b\n']);
  const looked = await call('migrate --check --json', { app: { ...app, migrate } });
  assert.deepEqual(
    [looked.exitCode, looked.json],
    [1, { database: 'none', schema_from: 0, schema_to: 2, changes: true }],
  );
  const same = await call('migrate --check', { app });
  assert.deepEqual([same.exitCode, same.out], [0, 'up to date  schema 1 in here\n']);
});

test('copy names what moved, what stayed and what the nodes need, and wants to know both ends', async () => {
  const asked: object[] = [];
  const copy: AppActions['copy'] = async (route, onProgress) => {
    asked.push(route);
    onProgress({ table: 'task', rows: 1, of: 3 });
    return COPIED;
  };
  const { exitCode, out } = await call('copy --from sqlite:d --to postgres://there/b', {
    app: { ...app, copy },
  });
  assert.equal(exitCode, 0);
  assert.deepEqual(asked, [{ from: 'sqlite:d', to: 'postgres://there/b' }]);
  assert.match(out, /task +3 +abababababababab\n/);
  assert.doesNotMatch(out, /edge/);
  assert.match(out, /altered +1 in log\n/);
  assert.match(out, /blobs +2 stay in blobs, 1 of them are not there\n/);
  assert.match(out, /keys +give every node those of house-keys.json/);
  for (const words of ['copy', 'copy --from sqlite:d', 'copy --to postgres://there/b'])
    assert.deepEqual((await call(words, { app: { ...app, copy } })).exitCode, 2, words);
  assert.equal(asked.length, 1);
  const signal = AbortSignal.abort();
  const broken = await call('copy --from sqlite:d --to postgres://there/b', {
    app: { ...app, copy },
    signal,
  });
  assert.deepEqual(
    [broken.exitCode, broken.out],
    [130, ''],
    'whoever interrupts it is told of nothing copied',
  );
});

test('doctor looks at the database and the directory that are named', async context => {
  const { run } = await shell(context, () => wireError(503, 'SERVICE_UNAVAILABLE'));
  const looked: object[] = [];
  const examine: AppActions['examine'] = async flags => {
    looked.push(flags);
    return [];
  };
  await run('doctor --data-dir d --database-url postgres://db/b', { app: { ...app, examine } });
  assert.deepEqual(looked, [{ dataDir: 'd', databaseUrl: 'postgres://db/b' }]);
});
