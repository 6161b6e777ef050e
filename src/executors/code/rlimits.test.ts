import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { begin, errorOf, executorForTests, processesWith, run } from './fixture.test.ts';

const allowed = executorForTests({ allowRlimits: true, bubblewrapPath: '/nonexistent/bwrap' });
const marker = `plain-${process.pid}`;
const sh = (code: string): { language: string; code: string } => ({ language: 'shell', code });
const isLinux = process.platform === 'linux' ? false : 'resource limits are set on Linux only';
const isRoot = process.getuid?.() === 0 ? false : 'only root can give programs a user of their own';
const RESOURCES = { memoryMb: 64, cpuCores: 1, diskMb: 16 };

suite('plain children, where the operator allowed them', { skip: isLinux }, () => {
  test('SAM-139 a program runs with an empty environment and says that rlimits are all that holds it', async () => {
    const code =
      'pwd; env | sort; cat "$BATUTA_INPUTS"; cat; echo; echo x > "$BATUTA_OUTPUT/o.txt"; echo "::batuta progress=7"';
    const { end, output, reports, saved } = await run(
      allowed(),
      { ...sh(code), inputs: [1], stdin: 'typed' },
      { spec: { variables: { MODE: 'test' } } },
    );
    assert.deepEqual([end.status, end.isolation, output.isolation], ['completed', 'rlimits', 'rlimits']);
    const said = String(output.stdout);
    assert.match(said, /attempt-\w+\/work\n/);
    assert.match(said, /^MODE=test$/m);
    assert.doesNotMatch(said, /^(?:HOME=\/root|USER|NODE|npm_)/m);
    assert.ok(said.endsWith('[1]typed\n'));
    assert.deepEqual([reports, saved.map(({ name }) => name)], [[{ percentage: 7 }], ['o.txt']]);
  });

  test('SAM-121 a program that wants bubblewrap is not run as a plain child', async () => {
    const spec = { minIsolation: 'bubblewrap' } as const;
    await assert.rejects(run(allowed(), sh(':'), { spec }), { code: 'unprocessable' });
  });

  test('SAM-120 programs cannot read one another’s files, nor those of the server', {
    skip: isRoot,
  }, async () => {
    const holder = await begin(
      allowed(),
      sh(`echo secret > held; echo ::batuta progress=1; sh -c 'sleep 60; :' ${marker}`),
    );
    await holder.reported(report => report.percentage === 1);
    const search = `
      for path in ${holder.workspace}/work ${holder.workspace}/work/held ${holder.workspace}/given/inputs.json /etc/shadow /root; do
        [ -r "$path" ] && echo "read $path"
      done
      id -u; cat /proc/$(pgrep -f ${marker} | head -1)/environ; pkill -f ${marker}; true`;
    const { output } = await run(allowed(), sh(search));
    assert.match(String(output.stdout), /^6\d{4}\n$/);
    assert.notDeepEqual(await processesWith(marker), [], 'the other still runs');
    holder.abort('cancelled');
    await holder.result;
  });

  test('SAM-141 bombs end within a moment of their limit', async () => {
    const bombs = [
      ['b() { b | b & }; b; sleep 20', 'processes'],
      ['x=x; while :; do x="$x$x"; done', 'memory'],
      ['head -c 100M /dev/zero > big; sleep 20', 'disk'],
      ['yes', 'output'],
    ] as const;
    for (const [code, resource] of bombs) {
      const { end } = await run(
        allowed(),
        { ...sh(code), args: [marker] },
        { spec: { resources: RESOURCES } },
      );
      assert.deepEqual(
        [errorOf(end).code, errorOf(end).details?.resource],
        ['resource_exhausted', resource],
        code,
      );
      assert.deepEqual(await processesWith(marker), []);
    }
  });

  test('a stopped program takes its session, its group and what left both with it', async () => {
    const code = `
      trap '' TERM
      setsid sh -c 'sleep 300; :' ${marker} &
      (nohup sh -c 'sleep 300; :' ${marker} >/dev/null 2>&1 &)
      echo ::batuta progress=1
      while :; do sleep 1; done`;
    const attempt = await begin(allowed(), sh(code));
    await attempt.reported(report => report.percentage === 1);
    attempt.abort('timeout');
    assert.equal(errorOf(await attempt.result).code, 'task_timeout');
    assert.deepEqual(await processesWith(marker), []);
  });

  test('a process that left its session and its environment is found by its user', {
    skip: isRoot,
  }, async () => {
    const { end } = await run(
      allowed(),
      sh(`setsid env -i PATH="$PATH" sh -c 'sleep 300; :' ${marker} >/dev/null 2>&1 &`),
    );
    assert.equal(end.status, 'completed');
    assert.deepEqual(await processesWith(marker), []);
  });
});
