import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { suite, test } from 'node:test';
import { begin, errorOf, executorForTests, needsBubblewrap, processesWith, run } from './fixture.test.ts';

const executor = executorForTests();
const py = (code: string): { language: string; code: string } => ({ language: 'python', code });
const sh = (code: string): { language: string; code: string } => ({ language: 'shell', code });

suite('what programs are given and leave', () => {
  test('SAM-139 SAM-137 a python program finds its inputs, arguments, files, variables and secrets', async t => {
    if (!needsBubblewrap(t, executor())) return;
    const main = [
      'import json, os, sys, lib.part',
      'read = lambda name: open(os.path.join(os.environ["BATUTA_INPUT"], name)).read()',
      'told = [json.load(open(os.environ["BATUTA_INPUTS"])), json.load(open(os.environ["BATUTA_CHECKPOINT"])), sys.argv[1:],',
      '  sys.stdin.read(), lib.part.n, read("data.txt"), os.environ["MODE"], os.environ["TOKEN"] == "it\'s\\n$(id)", os.getcwd()]',
      'print("::batuta result=" + json.dumps(told))',
    ].join('\n');
    const payload = {
      language: 'python',
      files: { 'main.py': main, 'lib/part.py': 'n = 7' },
      entrypoint: 'main.py',
      ...{ args: ['a b', '$HOME'], stdin: 'typed', inputs: { x: 1 }, artifacts: ['id-1'] },
    };
    const { output } = await run(executor(), payload, {
      spec: { variables: { MODE: 'test' } },
      ...{ secrets: { TOKEN: "it's\n$(id)" }, checkpoint: [5] },
      artifacts: { 'id-1': { name: 'data.txt', bytes: 'granted' } },
    });
    assert.deepEqual(output.result, [
      { x: 1 },
      [5],
      ['a b', '$HOME'],
      'typed',
      7,
      'granted',
      'test',
      true,
      '/work',
    ]);
    assert.equal(output.stdout, '');
  });

  test('SAM-140 output, files and marked lines of a shell program come out', async t => {
    if (!needsBubblewrap(t, executor())) return;
    const code = [
      'echo one',
      'echo \'::batuta progress=40 step="Parsing \\"rows\\"" total=5\'',
      'echo \'::batuta checkpoint={"row":9}\'',
      'echo ::batuta nonsense',
      'echo two; echo bad >&2',
      'mkdir -p "$BATUTA_OUTPUT/d" && echo a,b > "$BATUTA_OUTPUT/d/r.csv"',
      'ln -s /etc/passwd "$BATUTA_OUTPUT/link"; mkfifo "$BATUTA_OUTPUT/pipe"; touch "$BATUTA_OUTPUT/$(printf "a\\nb")"',
      'chmod 000 "$BATUTA_OUTPUT/d/r.csv" "$BATUTA_OUTPUT/d"',
    ].join('\n');
    const { end, output, reports, saved } = await run(executor(), sh(code));
    assert.equal(end.status, 'completed');
    assert.deepEqual(output, {
      exit_code: 0,
      stdout: 'one\n::batuta nonsense\ntwo\n',
      stderr: 'bad\n',
      result: null,
      isolation: 'bubblewrap',
    });
    assert.deepEqual(reports, [
      { percentage: 40, currentStep: 'Parsing "rows"', totalSteps: 5 },
      { checkpoint: { row: 9 } },
    ]);
    assert.deepEqual(
      saved.map(({ name, bytes }) => [name, bytes.toString()]),
      [['d/r.csv', 'a,b\n']],
    );
  });

  test('SAM-139 a native program is an artifact that is run', async t => {
    if (!needsBubblewrap(t, executor())) return;
    const bytes = await readFile('/bin/echo');
    const payload = {
      language: 'native',
      entrypoint: 'tool',
      artifacts: [{ artifact_id: 'id-1', name: 'tool' }],
      args: ['hi'],
    };
    const { end, output } = await run(executor(), payload, { artifacts: { 'id-1': { name: 'x', bytes } } });
    assert.deepEqual([end.status, end.isolation, output.stdout], ['completed', 'bubblewrap', 'hi\n']);
  });

  test('SAM-140 a non-zero exit fails the task, and only 75 asks for another attempt', async t => {
    if (!needsBubblewrap(t, executor())) return;
    for (const [code, recoverable] of [
      [3, false],
      [75, true],
    ] as const) {
      const { end, output } = await run(executor(), sh(`echo why >&2; exit ${code}`));
      assert.deepEqual(errorOf(end), {
        code: 'task_failed',
        message: `the program ended with exit code ${code}: why`,
        recoverable,
        details: { exit_code: code },
      });
      assert.equal(output.exit_code, code);
    }
    const killed = await run(executor(), sh('kill -SEGV $$'));
    assert.equal(errorOf(killed.end).message, 'the program was ended by signal 11');
  });

  test('SAM-137 a syntax error fails with line and column and is not retried', async t => {
    if (!needsBubblewrap(t, executor())) return;
    const programs = [
      [py('x = 1\nif x:\n    y = (1 +* 2)\n'), 3, 13],
      [py('def f():\nreturn 1'), 2, 1],
      [sh('echo a\nif true; then )\n'), 2, 15],
    ] as const;
    for (const [payload, line, column] of programs) {
      const error = errorOf((await run(executor(), payload)).end);
      assert.deepEqual([error.code, error.recoverable], ['task_failed', false]);
      const { reason, line: atLine, column: atColumn } = error.details ?? {};
      assert.deepEqual([reason, atLine, atColumn], ['syntax_error', line, column], JSON.stringify(error));
    }
  });
});

suite('what a sandbox keeps in', () => {
  test('SAM-139 the host is out of reach: its files, accounts, variables, processes and network', async t => {
    if (!needsBubblewrap(t, executor())) return;
    process.env.BATUTA_CANARY = 'host variable';
    const code = `
import ctypes, json, os, socket
def refused(attempt):
    try:
        attempt(); return False
    except OSError:
        return True
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    if libc.syscall(number, *args) < 0: raise OSError(ctypes.get_errno())
status = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines())
print('::batuta result=' + json.dumps({
  'there': [p for p in ['/etc/shadow', '/root', '/home', '/var', '/etc/ssh', '/sys', '/boot', '/run'] if os.path.exists(p)],
  'environment': 'BATUTA_CANARY' in json.dumps([open(f'/proc/{p}/environ', errors='ignore').read() for p in os.listdir('/proc') if p.isdigit() and os.access(f'/proc/{p}/environ', os.R_OK)]),
  'processes': len([p for p in os.listdir('/proc') if p.isdigit()]) < 6,
  'written': [p for p in ['/', '/usr', '/etc', '/dev', '/input', '/batuta', '/proc/sys/kernel'] if not refused(lambda: open(p + '/x', 'w'))],
  'connected': not refused(lambda: socket.create_connection(('127.0.0.1', 22), 1)) or not refused(lambda: socket.create_connection(('1.1.1.1', 53), 1)),
  'interfaces': [line.split(':')[0].strip() for line in open('/proc/net/dev').read().splitlines()[2:]],
  'families': [f for f in [16, 17, 38, 40] if not refused(lambda: socket.socket(f, socket.SOCK_RAW if f != 40 else socket.SOCK_STREAM))],
  'root': os.getuid() == 0 or not refused(lambda: os.setuid(0)),
  'capabilities': [status[k].strip() for k in ['CapPrm', 'CapEff', 'CapAmb']],
  'privileges': [status[k].strip() for k in ['NoNewPrivs', 'Seccomp']],
  'calls': [n for n in ['ptrace 101 117 0 1 0 0', 'io_uring 425 425 1 0', 'keyctl 250 219 0 0', 'bpf 321 280 0 0 0', 'userfaultfd 323 282 0',
    'unshare 272 97 268435456', 'clone 56 220 268435473 0 0 0 0', 'mount 165 40 0 0 0 0 0', 'memfd 319 279 0 0', 'setns 308 268 0 0']
    if not refused(lambda: call(int(n.split()[1 if os.uname().machine == 'x86_64' else 2]), *map(int, n.split()[3:])))],
  'descriptors': [f for f in os.listdir('/proc/self/fd') if int(f) > 2 and not os.path.realpath('/proc/self/fd/' + f).startswith(('/dev/null', '/proc/'))],
}))`;
    const { output } = await run(executor(), py(code));
    delete process.env.BATUTA_CANARY;
    assert.deepEqual(
      output.result,
      {
        ...{
          there: [],
          environment: false,
          processes: true,
          written: [],
          connected: false,
          interfaces: ['lo'],
        },
        ...{
          families: [],
          root: false,
          capabilities: Array(3).fill('0000000000000000'),
          privileges: ['1', '2'],
        },
        ...{ calls: [], descriptors: [] },
      },
      String(output.stderr),
    );
  });

  test('SAM-118 a program is held to its processors and cannot leave them', async t => {
    if (!needsBubblewrap(t, executor())) return;
    const code = `
import json, os
mine = os.sched_getaffinity(0)
try:
    os.sched_setaffinity(0, range(os.cpu_count())); left = True
except OSError:
    left = False
print('::batuta result=' + json.dumps([len(mine), left]))`;
    assert.deepEqual((await run(executor(), py(code))).output.result, [1, false]);
  });

  test('SAM-120 tasks at the same time cannot find or signal one another, or read what the other has', async t => {
    if (!needsBubblewrap(t, executor())) return;
    const marker = `canary-${process.pid}`;
    const hold = `echo ${marker} | tee /tmp/held held "$BATUTA_OUTPUT/held" >/dev/shm/held; echo ::batuta progress=1`;
    const holder = await begin(executor(), sh(`${hold}; sh -c 'sleep 60; :' ${marker}`), {
      spec: { variables: { HELD: marker } },
    });
    await holder.reported(report => report.percentage === 1);
    // Spelled so that the search does not find itself.
    const search = `
      grep -rs "$(printf canary)-${process.pid}" /tmp /dev/shm /work /output /input /batuta
      cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline > /tmp/all
      grep -a "$(printf canary)-${process.pid}" /tmp/all
      ls -d ${holder.workspace}; kill -9 -1`;
    const { output } = await run(executor(), sh(search));
    assert.equal(output.stdout, '');
    assert.match(String(output.stderr), /No such file or directory/);
    assert.notDeepEqual(await processesWith(marker), [], 'the other still runs');
    holder.abort('cancelled');
    await holder.result;
  });

  test('SAM-34 secrets are in no command line and no file of the host, and masked in what is kept', async t => {
    if (!needsBubblewrap(t, executor())) return;
    const secret = `canary-secret-${process.pid}`;
    const attempt = await begin(executor(), sh('echo "$TOKEN"; echo ::batuta progress=1; cat'), {
      secrets: { TOKEN: secret },
    });
    const { output } = await attempt.result.then(end => ({ output: end.output as Record<string, unknown> }));
    assert.equal(output.stdout, '***\n');
    const held = await begin(executor(), sh('echo ::batuta progress=1; sleep 30'), {
      secrets: { TOKEN: secret },
    });
    await held.reported(report => report.percentage === 1);
    const commandLines = await Promise.all(
      (await processesWith(held.workspace)).map(pid => readFile(`/proc/${pid}/cmdline`, 'utf8')),
    );
    assert.ok(commandLines.length > 0);
    assert.ok(!commandLines.join().includes(secret));
    held.abort('cancelled');
    await held.result;
  });
});
