import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { echo, errorOf, executorForTests, js, run } from './fixture.test.ts';

const { outbound, sent } = echo();
const executor = executorForTests({}, outbound);

suite('what a program is worth', () => {
  test('SAM-137 the result is the last expression, what return gives, or the default export', async () => {
    const results = await Promise.all(
      [
        '1; 2 + 3',
        'const a = await Promise.resolve(4); a + 1',
        'if (inputs) return "not reached";\nreturn await Promise.resolve({ five: 5 });',
        'export default [5];',
        'Promise.resolve(5)',
        'undefined',
      ].map(async code => (await run(executor(), js(code))).output.result),
    );
    assert.deepEqual(results, [5, 5, { five: 5 }, [5], 5, null]);
  });

  test('SAM-137 files import one another, and only one another', async () => {
    const files = {
      'src/main.js': 'import { n } from "./lib/n.js"; export default n;',
      'src/lib/n.js': 'export const n = 7;',
    };
    const payload = { language: 'javascript', entrypoint: 'src/main.js', files };
    assert.equal((await run(executor(), payload)).output.result, 7);
    const inherited = { ...files, 'src/main.js': 'import "constructor";' };
    assert.match(
      errorOf((await run(executor(), { ...payload, files: inherited })).end).message,
      /no file constructor/,
    );
    const outside = { ...files, 'src/main.js': 'import fs from "node:fs"; export default fs;' };
    const { end } = await run(executor(), { ...payload, files: outside });
    assert.match(errorOf(end).message, /the task has no file node:fs/);
  });

  test('SAM-137 arguments, standard input, inputs, variables and secrets reach the program', async () => {
    const { output } = await run(
      executor(),
      {
        ...js('({ args, stdin, inputs, env, restored })'),
        args: ['a'],
        stdin: 'in\0put',
        inputs: { x: [1] },
      },
      { spec: { variables: { MODE: 'test' } }, secrets: { TOKEN: 's3cr3t' }, checkpoint: { row: 3 } },
    );
    assert.deepEqual(output.result, {
      args: ['a'],
      stdin: 'in\0put',
      inputs: { x: [1] },
      env: { MODE: 'test', TOKEN: 's3cr3t' },
      restored: { row: 3 },
    });
  });

  test('SAM-137 what an earlier task left is read by that task and its name, under that name or another', async () => {
    const artifacts = {
      'before/rows.csv': { name: 'rows.csv', bytes: '1,2' },
      'before/more.csv': { name: 'more.csv', bytes: '3,4' },
    };
    const code = `return [readInput('rows.csv'), readInput('second')];`;
    const left = (name: string) => ({ task_id: 'before', artifact_name: name });
    const payload = { ...js(code), artifacts: [left('rows.csv'), { ...left('more.csv'), name: 'second' }] };
    const { output } = await run(executor(), payload, { artifacts });
    assert.deepEqual(output.result, ['1,2', '3,4']);
    const absent = { ...js(`readInput('absent.csv')`), artifacts: [left('absent.csv')] };
    assert.match(errorOf((await run(executor(), absent, { artifacts })).end).message, /absent\.csv/);
  });

  test('SAM-137 only granted artifacts can be read, by their name, their own name or their id', async () => {
    const artifacts = {
      'id-1': { name: 'first.txt', bytes: 'erste' },
      'id-2': { name: '../../etc/passwd', bytes: Buffer.from([0, 255]) },
      'id-3': { name: 'not granted', bytes: 'secret' },
    };
    const code = `
      const failed = name => { try { readInput(name); return false; } catch { return true; } };
      return [readInput('mine'), readInput('first.txt'), [...readInput('id-2', 'bytes')],
        failed('not granted'), failed('id-3'), failed('../../etc/passwd'), failed('/etc/passwd')];`;
    const grants = [{ artifact_id: 'id-1', name: 'mine' }, 'id-1', 'id-2'];
    const { output } = await run(executor(), { ...js(code), artifacts: grants }, { artifacts });
    assert.deepEqual(output.result, ['erste', 'erste', [0, 255], true, true, true, true]);
  });

  test('SAM-140 prints, results, files and progress come out', async () => {
    const code = `
      console.log('grüß', { a: 1 }, [2]); console.error(new Error('oh'));
      progress(40, 'half way', 3); checkpoint({ row: 9 });
      writeOutput('data/rows.csv', 'a,b'); writeOutput('raw.bin', new Uint8Array([1, 0, 255]));
      ({ done: true })`;
    const { output, reports, saved, logs } = await run(executor(), js(code));
    assert.deepEqual(
      { ...output, stderr: String(output.stderr).split('\n')[0] },
      {
        exit_code: 0,
        stdout: 'grüß {"a":1} [2]\n',
        stderr: 'Error: oh',
        result: { done: true },
        isolation: 'wasm',
      },
    );
    assert.deepEqual(reports, [
      { percentage: 40, currentStep: 'half way', totalSteps: 3 },
      { checkpoint: { row: 9 } },
    ]);
    assert.deepEqual(
      saved.map(({ name, mediaType, bytes }) => [name, mediaType, [...bytes]]),
      [
        ['data/rows.csv', 'text/csv', [97, 44, 98]],
        ['raw.bin', 'application/octet-stream', [1, 0, 255]],
      ],
    );
    assert.ok(logs.some(({ level, message }) => level === 'INFO' && message === 'grüß {"a":1} [2]'));
  });

  test('SAM-137 a syntax error fails with line and column and is not retried', async () => {
    const places = [
      ['let a = 1;\nlet b = ;', 2, 9],
      ['const x = 1;\nreturn x +;', 2, 11],
      ['export const a = 1;\n\nexport default foo bar;', 3, 20],
    ] as const;
    for (const [code, line, column] of places) {
      const error = errorOf((await run(executor(), js(code))).end);
      assert.equal(error.code, 'task_failed');
      assert.equal(error.recoverable, false);
      assert.deepEqual(
        { reason: error.details?.reason, line: error.details?.line, column: error.details?.column },
        { reason: 'syntax_error', line, column },
      );
    }
  });

  test('SAM-140 a thrown error fails the task with its place, and retries only if it says so', async () => {
    const thrown = await run(executor(), js('console.log("before");\nnull.x'));
    const error = errorOf(thrown.end);
    assert.deepEqual([error.code, error.recoverable, error.details?.line], ['task_failed', false, 2]);
    assert.equal(thrown.output.exit_code, 1);
    assert.equal(thrown.output.stdout, 'before\n');
    assert.match(String(thrown.output.stderr), /^TypeError: cannot read property 'x' of null/);
    const again = 'throw Object.assign(new Error("busy"), { recoverable: true })';
    assert.equal(errorOf((await run(executor(), js(again))).end).recoverable, true);
  });

  test('a program that waits for nothing, or whose result is no JSON, fails instead of hanging', async () => {
    const stuck = errorOf((await run(executor(), js('await new Promise(() => {})'))).end);
    assert.equal(stuck.details?.reason, 'stuck');
    assert.equal(errorOf((await run(executor(), js('10n'))).end).details?.reason, 'unserializable');
  });

  test('timers fire in order and can be cancelled', async () => {
    const code = `
      const seen = [];
      const timer = setTimeout(() => seen.push('never'), 1);
      clearTimeout(timer);
      await Promise.all([400, 1].map(ms => new Promise(done => setTimeout(() => { seen.push(ms); done(); }, ms))));
      return seen;`;
    assert.deepEqual((await run(executor(), js(code))).output.result, [1, 400]);
  });

  test('SAM-140 a long output is whole in an artifact, its beginning inline, secrets masked in both', async () => {
    const code = 'for (let i = 0; i < 20000; i++) console.log("line", i, env.TOKEN);';
    const { output, saved } = await run(executor(), js(code), { secrets: { TOKEN: 'canary-7' } });
    const whole = saved.find(({ name }) => name === 'stdout.txt');
    const lines = whole?.bytes.toString().split('\n') ?? [];
    assert.deepEqual([lines[0], lines[19_999], lines.length], ['line 0 ***', 'line 19999 ***', 20_001]);
    assert.equal(String(output.stdout).length, 64 << 10);
    assert.ok(lines.join('\n').startsWith(String(output.stdout)));
  });

  test('a result too long for the task becomes an artifact', async () => {
    const { output, saved } = await run(executor(), js('"x".repeat(5 << 20)'));
    assert.deepEqual([output.result, output.result_artifact], [null, 'result.json']);
    assert.equal(saved[0]?.bytes.length, (5 << 20) + 2);
  });
});

suite('what a program may reach', () => {
  test('SAM-138 fetch goes through the guard, and only to hosts the task names', async () => {
    sent.length = 0;
    const code = `
      const failed = async url => { try { await fetch(url); return null; } catch (error) { return error.message; } };
      const answer = await fetch('https://api.example.org/v1', { method: 'POST', headers: { 'x-a': '1' }, body: 'hi' });
      return [answer.status, answer.ok, answer.headers.get('Content-Type'), await answer.json(),
        await failed('https://evil.example/'), await failed('http://api.example.org:81/'), await failed('nonsense')];`;
    const { output, logs, end } = await run(executor(), {
      ...js(code),
      network: { allow: ['api.example.org:443'] },
    });
    assert.deepEqual(output.result, [
      201,
      true,
      'application/json',
      { method: 'POST', got: 'hi' },
      'network.allow of the task does not name evil.example',
      'network.allow of the task does not name api.example.org:81',
      'nonsense is not a URL',
    ]);
    assert.deepEqual(
      sent.map(({ url, method, headers }) => [url, method, headers]),
      [['https://api.example.org/v1', 'POST', { 'x-a': '1' }]],
    );
    assert.ok(logs.some(({ message, metadata }) => message === 'external call' && metadata?.status === 201));
    assert.deepEqual([end.metrics?.apiCalls, end.metrics?.bytesSent], [1, 2]);
  });

  test('SAM-138 without network.allow there is no way out', async () => {
    sent.length = 0;
    const { end } = await run(executor(), js('await fetch("http://127.0.0.1/")'));
    assert.match(errorOf(end).message, /network\.allow of the task does not name 127\.0\.0\.1/);
    assert.deepEqual(sent, []);
  });

  test('SAM-138 no chain of constructors reaches the host', async () => {
    process.env.BATUTA_CANARY = 'host variable';
    const code = `
      const globals = [globalThis, new Function('return this')(), console.log.constructor('return this')(),
        (async () => {}).constructor('return globalThis')(), fetch.constructor.constructor('return this')(),
        Reflect.construct(Function, ['return this'])(), readInput.__proto__.constructor('return this')()];
      const wanted = ['process', 'require', 'module', 'Buffer', 'WebAssembly', 'Deno', 'std', 'os', 'SharedWorker'];
      let error; try { readInput('x'); } catch (caught) { error = caught; }
      const viaError = error.constructor.constructor('return typeof process + typeof require')();
      const awaited = [...globals, await new Function('return this')()];
      return { found: awaited.flatMap(one => wanted.filter(name => typeof one?.[name] !== 'undefined')), viaError,
        imported: await import('fs').then(() => true, () => false), env: JSON.stringify(env) };`;
    const { output } = await run(executor(), js(code));
    delete process.env.BATUTA_CANARY;
    assert.deepEqual(output.result, {
      found: [],
      viaError: 'undefinedundefined',
      imported: false,
      env: '{}',
    });
  });

  test('SAM-138 output names cannot leave the output directory', async () => {
    const code = `
      return ['../x', '/etc/x', 'a/../../x', '.', '', 'a\\\\b', 'n\\u0000', 'a//b'].map(name => {
        try { writeOutput(name, 'x'); return name; } catch { return null; }
      }).filter(name => name !== null);`;
    const { output, saved } = await run(executor(), js(code));
    assert.deepEqual(output.result, []);
    assert.deepEqual(saved, []);
  });

  test('SAM-120 programs leave nothing for the next, of the same tenant or another', async () => {
    const leave =
      'globalThis.secret = "left"; Object.prototype.tainted = 1; Array.prototype.map = () => "broken"; 1';
    for (const tenant of ['a', 'a', 'b']) {
      const look = '[typeof secret, typeof ({}).tainted, [1].map(n => n + 1)]';
      await run(executor(), js(leave), { tenant: 'a' });
      assert.deepEqual((await run(executor(), js(look), { tenant })).output.result, [
        'undefined',
        'undefined',
        [2],
      ]);
    }
  });

  test('SAM-120 programs that run at the same time see only their own inputs and files', async () => {
    const code =
      'await new Promise(done => setTimeout(done, 20)); writeOutput("mine", inputs.who); return env.WHO;';
    const ends = await Promise.all(
      ['one', 'two', 'three', 'four'].map(who =>
        run(executor(), { ...js(code), inputs: { who } }, { tenant: who, spec: { variables: { WHO: who } } }),
      ),
    );
    const seen = ends.map(({ output, saved }) => [output.result, saved.map(({ bytes }) => bytes.toString())]);
    assert.deepEqual(seen, [
      ['one', ['one']],
      ['two', ['two']],
      ['three', ['three']],
      ['four', ['four']],
    ]);
  });
});
