// `batuta workflow` against a real server, as people use it: everything it prints is what runs there.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Running, running } from '../../test/e2e/running.ts';
import { BatutaClient, Worker } from '../sdk/index.ts';
import { call, directory, type Printed, type ShellOptions } from './shell.test.ts';

let house: Running;
let environment: Readonly<Record<string, string>>;
before(async () => {
  house = await running();
  const { api_key: key, api_secret: secret } = house.server.credentials;
  environment = { BATUTA_URL: house.url, BATUTA_API_KEY: key, BATUTA_API_SECRET: secret };
});
after(() => house.stop());

function batuta(words: string | readonly string[], options: ShellOptions = {}): Promise<Printed> {
  const all = typeof words === 'string' ? words.split(' ') : words;
  return call(['workflow', ...all], {
    columns: 200,
    ...options,
    environment: { ...environment, ...options.environment },
  });
}

/** What `workflow status` prints once it says that. */
async function statusOnce(id: string, said: RegExp): Promise<string> {
  const deadline = performance.now() + 15_000;
  for (;;) {
    const { out } = await batuta(`status ${id}`);
    if (said.test(out)) return out;
    assert.ok(performance.now() < deadline, `${id} stayed ${out}`);
  }
}

const rows = (inline: unknown): object => ({
  task_type: 'data_processing',
  task_data: { sources: { t: { inline } }, sql: 'SELECT count(*)::INTEGER AS n FROM t' },
});
// biome-ignore lint/suspicious/noTemplateCurlyInString: a template of Batuta's, not of this file's
const GIVEN = '${{ input.list }}';
const nightly = {
  steps: [
    { id: 'arrived', kind: 'wait', message: 'rows' },
    { id: 'count', ...rows(GIVEN), depends_on: ['arrived'] },
    {
      id: 'many',
      kind: 'condition',
      expression: 'steps.count.output.rows[0].n > `1`',
      depends_on: ['count'],
      if_true: ['tell'],
    },
    { id: 'tell', ...rows([{ a: 1 }]) },
  ],
};

test('SAM-163 a definition is checked, with its cycle named, stored by version, and shown as a graph', async context => {
  const file = join(directory(context), 'nightly.json');
  const cyclic = {
    steps: [
      { id: 'a', ...rows([]), depends_on: ['b'] },
      { id: 'b', ...rows([]), depends_on: ['a'] },
    ],
  };
  const refused = await batuta('validate -', { stdin: JSON.stringify(cyclic) });
  assert.equal(refused.exitCode, 7);
  assert.match(refused.err, /a -> b -> a/);
  writeFileSync(file, JSON.stringify(nightly));
  const checked = await batuta(`validate ${file}`);
  assert.match(
    checked.out,
    /^valid\nSTEP +KIND +AFTER\narrived +wait\ncount +task +arrived\nmany +condition +count\ntell +task +many is true\n$/,
  );
  assert.match((await batuta(`validate ${file} --mermaid`)).out, /^flowchart TD\n {2}s0\(\["arrived"\]\)/);
  assert.match((await batuta('list')).out, /no workflows/);
  assert.match(
    (await batuta(`register nightly ${file} --description imports`)).out,
    /stored nightly version 1/,
  );
  assert.deepEqual((await batuta(`register nightly ${file} --description imports --json`)).json, {
    workflow_id: 'nightly',
    version: 1,
  });
  await batuta('register nightly -', { stdin: JSON.stringify({ steps: nightly.steps.slice(0, 1) }) });
  assert.match((await batuta([])).out, /^ID +VERSION .*\nnightly +2 /);
  assert.match((await batuta('show nightly')).out, /^nightly {2}version 2 .*\n.*\narrived +wait\n$/);
  assert.match((await batuta('show nightly@1')).out, /tell +task +many is true/);
  assert.equal((await batuta('show nightly@3')).exitCode, 5);
  assert.equal((await batuta('show nightly@x')).exitCode, 2);
});

test('SAM-164 SAM-169 a run is begun, shown step by step, signalled, and followed to its end', async () => {
  const started = await batuta(['run', 'nightly@1', '--id', 'w', '--input', '{"list":[{"n":1},{"n":2}]}']);
  assert.equal(started.exitCode, 0, started.err);
  const shown = await statusOnce('w', /arrived +wait +waiting/);
  assert.match(shown, /^w {2}running {2}nightly version 1\nSTEP +KIND +AFTER +STATE +DETAIL\n/);
  assert.match(shown, /tell +task +many is true +pending/);
  const following = batuta('status w --follow');
  assert.match((await batuta(['signal', 'w', 'rows', '--data', '12'])).out, /sent rows to w/);
  assert.equal((await batuta('signal w rows')).exitCode, 6);
  const { exitCode, out, err } = await following;
  assert.equal(exitCode, 0, err);
  assert.match(out, /\ntell {2}completed\n/);
  assert.match(err, /w is completed/);
  const done = await batuta('status w');
  assert.match(done.out, /many +condition +count +completed +it is true\n/);
  assert.match((await batuta('status w --mermaid')).out, /class s1 completed/);
  assert.match((await batuta('runs nightly')).out, /^ID .*\nw +completed +1 +4 of 4\n$/);
  const { json } = await batuta('status w --json');
  assert.equal((json as { steps: Record<string, { state: string }> }).steps.count?.state, 'completed');
  assert.equal((await batuta('status nothing')).exitCode, 5);
});

test('SAM-167 a run that failed is taken up at a step with other input', async context => {
  const file = join(directory(context), 'draft.json');
  const steps = [
    { id: 'first', ...rows([{ a: 1 }]) },
    { id: 'then', ...rows(GIVEN), depends_on: ['first'] },
  ];
  writeFileSync(file, JSON.stringify({ steps }));
  const failed = await batuta([
    'run',
    '--file',
    file,
    '--id',
    'broken',
    '--input',
    '{"list":"none"}',
    '--wait',
  ]);
  assert.equal(failed.exitCode, 1, failed.err);
  assert.match((await batuta('status broken')).out, /then +task +first +failed +[A-Z_a-z]+: /);
  assert.equal((await batuta('rerun broken')).exitCode, 2);
  const again = await batuta([
    'rerun',
    'broken',
    '--from',
    'then',
    '--input',
    '{"list":[{"n":4}]}',
    '--wait',
    '--json',
  ]);
  assert.equal(again.exitCode, 0, again.err);
  assert.equal(again.json.task_id, 'broken.r1');
  assert.equal((await batuta('run')).exitCode, 2);
});

test('SAM-210 what waits for a word is listed, approved and rejected by somebody else than who asked', async () => {
  const body = { name: 'boss', permissions: ['approval:decide'] };
  const { body: made } = await house.admin.post('/api/v2/api-keys', body, { expect: 201 });
  const boss = { environment: { BATUTA_API_KEY: made.api_key, BATUTA_API_SECRET: made.api_secret } };
  const asks = JSON.stringify({ steps: [{ id: 'ok', kind: 'approval', title: 'deploy?' }] });
  const ended: Record<string, Promise<Printed>> = {};
  for (const id of ['yes', 'no']) {
    await batuta(`run --file - --id ${id}`, { stdin: asks });
    await statusOnce(id, /ok +approval +waiting/);
    ended[id] = batuta(`status ${id} --follow`);
  }
  const { json } = await batuta('approvals --json', boss);
  const approvals = json as unknown as readonly { approval_id: string; task_id: string }[];
  const idOf = (task: string): string => approvals.find(one => one.task_id === task)?.approval_id ?? '';
  assert.match((await batuta('approvals', boss)).out, /waiting +yes +ok +.*deploy\?/);
  assert.equal((await batuta(`approve ${idOf('yes')}`)).exitCode, 4);
  assert.equal((await batuta(`reject ${idOf('no')}`, boss)).exitCode, 2);
  assert.match((await batuta(`approve ${idOf('yes')} --comment go`, boss)).out, /^approved /);
  assert.match(
    (await batuta(['reject', idOf('no'), '--comment', 'not on a Friday'], boss)).out,
    /^rejected /,
  );
  assert.equal((await ended.yes)?.exitCode, 0);
  assert.equal((await ended.no)?.exitCode, 1);
  assert.match((await batuta('status no')).out, /ok +approval +failed +.*not on a Friday/);
  assert.match((await batuta('approvals', boss)).out, /nothing is waiting/);
});

test('SAM-229 SAM-230 the status of a pipeline shows what went through each pipe and how far behind each reader is', async context => {
  const { api_key: apiKey, api_secret: apiSecret } = house.server.credentials;
  const client = new BatutaClient({ url: house.url, credentials: { apiKey, apiSecret } });
  const worker = new Worker({
    ...{ client, agentId: 'writes' },
    handlers: {
      source: async (_, { output, signal }) => {
        for (const bytes of ['one', 'two']) await output('rows').writeBytes(Buffer.from(bytes.repeat(512)));
        await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }));
      },
    },
  });
  context.after(() => worker.stop({ graceMs: 0, handInMs: 500 }));
  await worker.start();
  // Nobody reads yet: its worker is still to come.
  await client.agents.register({ agent_id: 'reads', types: ['custom:sink'], kind: 'worker' });
  const step = (id: string, more: object): object => ({
    ...{ id, task_type: 'custom', task_data: { type_name: id } },
    ...more,
  });
  const file = join(directory(context), 'pipeline.json');
  const steps = [step('source', { outputs: { rows: {} } }), step('sink', { inputs: { in: 'source.rows' } })];
  writeFileSync(file, JSON.stringify({ steps }));
  assert.equal((await batuta(`run --file ${file} --id piped`)).exitCode, 0);

  const shown = await statusOnce('piped', /source\.rows +open +2/);

  assert.match(shown, /^PIPE +STATE +CHUNKS +SIZE +READER +BEHIND$/m);
  assert.match(shown, /^source\.rows +open +2 +3\.0 KiB +sink\.in +2 \(3\.0 KiB\)$/m);
  await client.cancel('piped');
});
