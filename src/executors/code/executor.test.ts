import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { TaskSpec } from '../../domain/task.ts';
import { begin, errorOf, executorForTests, needsBubblewrap, run, specOf } from './fixture.test.ts';

const executor = executorForTests();
const withoutSandbox = executorForTests({ bubblewrapPath: '/nonexistent/bwrap' });

async function refusalOf(
  payload: JsonObject,
  spec: Partial<TaskSpec> = {},
  where = executor,
): Promise<DomainError> {
  try {
    await where().check(specOf(payload, spec));
  } catch (error) {
    assert.ok(error instanceof DomainError);
    return error;
  }
  assert.fail('it was not refused');
}

suite('what is refused before it is queued', () => {
  test('SAM-137 neither code nor files is an invalid request that names the field', async () => {
    const refusal = await refusalOf({ language: 'python' });
    assert.equal(refusal.code, 'invalid_request');
    assert.deepEqual(refusal.details.errors, [
      { field: 'task_data.code', message: 'either code or files with an entrypoint is needed' },
    ]);
  });

  test('SAM-137 contradictions of a payload are all named at once', async () => {
    const refusal = await refusalOf({
      language: 'shell',
      files: { '../escape.sh': '' },
      entrypoint: 'main.sh',
      artifacts: [
        { artifact_id: 'a', name: 'same' },
        { artifact_id: 'b', name: 'same' },
      ],
      args: ['a\0b'],
      network: { allow: ['http://example.org/'] },
    });
    const fields = (refusal.details.errors as JsonObject[]).map(error => error.field);
    assert.deepEqual(fields, [
      'task_data.entrypoint',
      'task_data.files.../escape.sh',
      'task_data.artifacts.1.name',
      'task_data.args.0',
      'task_data.network.allow.0',
    ]);
  });

  test('SAM-137 a native program without artifact and entrypoint is an invalid request', async () => {
    assert.equal((await refusalOf({ language: 'native', code: 'x' })).code, 'invalid_request');
  });

  test('SAM-137 an unknown language is unprocessable and names the known ones', async () => {
    const refusal = await refusalOf({ language: 'cobol', code: 'x' });
    assert.equal(refusal.code, 'unprocessable');
    assert.deepEqual(refusal.details.languages, ['javascript', 'python', 'shell', 'native']);
  });

  test('SAM-137 a dependency the runtime does not offer is unprocessable, one it has is not', async t => {
    const offered = await refusalOf({ language: 'javascript', code: '1' }, { dependencies: ['lodash'] });
    assert.deepEqual(offered.details, { reason: 'dependency_unavailable', dependencies: ['lodash'] });
    if (!needsBubblewrap(t, executor())) return;
    const dependencies = ['json', 'surely-not-installed', 'json==0.0.1', 'os; import evil'];
    const { code, details } = await refusalOf({ language: 'python', code: 'pass' }, { dependencies });
    assert.equal(code, 'unprocessable');
    assert.deepEqual(details.dependencies, dependencies.slice(1));
    await executor().check(
      specOf({ language: 'python', code: 'pass' }, { dependencies: ['json', 'sqlite3'] }),
    );
    await executor().check(specOf({ language: 'shell', code: ':' }, { dependencies: ['ls'] }));
  });

  test('SAM-139 network access is refused to programs that run without a network', async t => {
    if (!needsBubblewrap(t, executor())) return;
    const refusal = await refusalOf({ language: 'shell', code: ':', network: { allow: ['example.org'] } });
    assert.deepEqual(refusal.details, { reason: 'network_unavailable' });
  });

  test('a variable or secret that is no name is refused where a shell would set it', async t => {
    if (!needsBubblewrap(t, executor())) return;
    const names = [{ variables: { 'X=1; evil': 'v' } }, { secretNames: ['api.key'] }];
    for (const spec of names) {
      const refusal = await refusalOf({ language: 'shell', code: ':' }, spec);
      assert.equal(refusal.details.reason, 'variable_name');
      await executor().check(specOf({ language: 'javascript', code: '1' }, spec));
    }
  });
});

suite('what a host without a sandbox offers', () => {
  test('SAM-138 javascript runs on every host', async () => {
    const { status, isolation } = (await run(withoutSandbox(), { language: 'javascript', code: '6 * 7' }))
      .end;
    assert.deepEqual([status, isolation], ['completed', 'wasm']);
    assert.deepEqual(withoutSandbox().status().isolation, ['wasm']);
  });

  test('SAM-139 python, shell and native are refused naming what is missing, and do not run', async () => {
    for (const language of ['python', 'shell']) {
      const refusal = await refusalOf({ language, code: 'x' }, {}, withoutSandbox);
      assert.equal(refusal.code, 'unprocessable');
      assert.match(String(refusal.details.missing), /bubblewrap cannot make a sandbox here/);
      await assert.rejects(run(withoutSandbox(), { language, code: 'x' }), { code: 'unprocessable' });
    }
    const native = { language: 'native', entrypoint: 'x', artifacts: ['x'] };
    assert.match(
      String((await refusalOf(native, {}, withoutSandbox)).details.missing),
      /rlimits were not allowed/,
    );
    assert.match(withoutSandbox().status().missing ?? '', /python: .*shell: .*native: /);
  });

  test('SAM-121 a minimum isolation that cannot be reached is unprocessable, and not run at a lower level', async () => {
    const spec = { minIsolation: 'bubblewrap' } as const;
    const refusal = await refusalOf({ language: 'javascript', code: '1' }, spec, withoutSandbox);
    assert.equal(refusal.code, 'unprocessable');
    assert.equal(refusal.details.reason, 'isolation_unattainable');
    assert.deepEqual(refusal.details.offered, ['wasm']);
    await assert.rejects(run(withoutSandbox(), { language: 'javascript', code: '1' }, { spec }), {
      code: 'unprocessable',
    });
  });

  test('SAM-121 no host offers more than bubblewrap: remote isolation is unprocessable everywhere', async () => {
    const refusal = await refusalOf({ language: 'javascript', code: '1' }, { minIsolation: 'remote' });
    assert.equal(refusal.details.reason, 'isolation_unattainable');
  });
});

suite('what a host with a sandbox offers', () => {
  test('SAM-121 a raised minimum moves javascript into bubblewrap with the same abilities', async t => {
    if (!needsBubblewrap(t, executor())) return;
    const payload = {
      language: 'javascript',
      code: 'writeOutput("a.txt", readInput("in")); progress(50); console.log(inputs.n); return inputs.n * 2;',
      inputs: { n: 21 },
      artifacts: ['id-1'],
    };
    const artifacts = { 'id-1': { name: 'in', bytes: 'granted' } };
    const { end, output, saved, reports } = await run(executor(), payload, {
      spec: { minIsolation: 'process' },
      artifacts,
    });
    assert.equal(end.isolation, 'bubblewrap');
    assert.deepEqual(output, {
      exit_code: 0,
      stdout: '21\n',
      stderr: '',
      result: 42,
      isolation: 'bubblewrap',
    });
    assert.deepEqual(reports, [{ percentage: 50 }]);
    assert.equal(saved[0]?.bytes.toString(), 'granted');
  });

  test('SAM-117 the status names how each limit of the sandbox is held', t => {
    if (!needsBubblewrap(t, executor())) return;
    const { limits } = executor().status().detail.bubblewrap as JsonObject & { limits: JsonObject };
    assert.deepEqual(Object.keys(limits), ['memory', 'processes', 'disk', 'cpu', 'network']);
    for (const limit of ['memory', 'processes', 'disk']) assert.match(String(limits[limit]), /^enforced by /);
  });

  test('SAM-141 a task that names no limits gets 256 MB, one core and 512 MB of disk', () => {
    assert.deepEqual(executor().defaults.resources, { memoryMb: 256, cpuCores: 1, diskMb: 512 });
  });

  test('SAM-109 a program finds a warm process, and the status counts the hits', async () => {
    const before = executor().status().detail.pool as { hits: number; processes: number };
    assert.ok(before.processes >= 1, 'one is warm before anybody asks');
    const { end } = await run(executor(), { language: 'javascript', code: '1' });
    assert.equal(end.status, 'completed');
    const after = executor().status().detail.pool as { hits: number };
    assert.equal(after.hits, before.hits + 1);
  });

  test('an executor that stops ends the programs that run, and takes no more', async () => {
    const attempt = await begin(withoutSandbox(), { language: 'javascript', code: 'progress(1); for (;;);' });
    await attempt.reported(report => report.percentage === 1);
    await withoutSandbox().stop();
    assert.equal(errorOf(await attempt.result).message, 'the program was stopped: shutdown');
    await assert.rejects(run(withoutSandbox(), { language: 'javascript', code: '1' }));
  });
});
