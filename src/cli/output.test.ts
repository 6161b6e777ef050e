import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../sdk/clock.ts';
import type { CliHost } from './host.ts';
import { bar, bytesText, facts, Output, table } from './output.ts';

function setup(options: {
  isTerminal?: boolean;
  environment?: Record<string, string>;
  columns?: number;
  json?: boolean;
  color?: boolean;
}) {
  let out = '';
  let err = '';
  const host: CliHost = {
    environment: options.environment ?? {},
    stdout: { write: text => (out += text) },
    stderr: { write: text => (err += text) },
    isTerminal: options.isTerminal ?? true,
    columns: options.columns ?? 80,
    readStdin: async () => '',
    signal: new AbortController().signal,
    clock: systemClock,
    app: { version: '0' },
  };
  const output = new Output(host, options);
  return { output, printed: () => out, remarked: () => err };
}

test('colours are for terminals that want them', () => {
  const red = (options: Parameters<typeof setup>[0]): boolean => setup(options).output.paint.red('x') !== 'x';
  assert.equal(red({}), true);
  assert.equal(red({ isTerminal: false }), false);
  assert.equal(red({ environment: { NO_COLOR: '1' } }), false);
  assert.equal(red({ environment: { NO_COLOR: '' } }), true);
  assert.equal(red({ environment: { TERM: 'dumb' } }), false);
  assert.equal(red({ color: false }), false);
  assert.equal(red({ json: true }), false);
});

test('machines get JSON and no remarks, drawings or words', () => {
  const { output, printed, remarked } = setup({ json: true });
  output.note('a remark');
  output.draw('50 %');
  output.item({ n: 1 }, () => 'one');
  output.answer({ ok: true }, () => 'fine');
  assert.equal(printed(), '{"n":1}\n{\n  "ok": true\n}\n');
  assert.equal(remarked(), '');
});

test('a drawn line is drawn over, cut to the terminal, and ended before anything else is printed', () => {
  const { output, printed } = setup({ columns: 10 });
  output.draw('12345');
  output.draw('a line that is too long');
  output.answer({}, () => 'done');
  assert.equal(printed(), '\r12345\u001b[K\ra line t…\u001b[K\ndone\n');
});

test('nothing is drawn where there is no terminal', () => {
  const { output, printed } = setup({ isTerminal: false });
  output.draw('50 %');
  assert.equal(printed(), '');
});

test('what comes from elsewhere cannot move the cursor, clear the screen or ring the bell', () => {
  const { output, printed } = setup({});
  output.answer({}, () => `a\u001b[2Jb\u0007c\rd\u009b3me ${output.paint.red('red')}`);
  assert.equal(printed(), 'a[2Jbcd3me \u001b[31mred\u001b[0m\n');
});

test('columns are as wide as their widest cell, colours not counted, and cut to a terminal', () => {
  const { output } = setup({ columns: 17 });
  const rows = [
    [output.paint.green('ok'), 'a very long name'],
    ['failed', 'two\nlines'],
  ];
  const lines = table(['STATE', 'NAME'], rows, output).split('\n');
  assert.equal(lines[1], '\u001b[32mok\u001b[0m      a very l…');
  assert.equal(lines[2], 'failed  two lines');
  const plain = table(
    ['STATE', 'NAME'],
    [['failed', 'a very long name']],
    setup({ isTerminal: false, columns: 8 }).output,
  );
  assert.equal(plain, 'STATE   NAME\nfailed  a very long name');
});

test('facts leave out what is not known and align the rest', () => {
  const { paint } = setup({ isTerminal: false }).output;
  assert.equal(
    facts(
      [
        ['a', '1'],
        ['gone', null],
        ['none', undefined],
        ['empty', ''],
        ['long', 'two\nlines'],
      ],
      paint,
    ),
    '  a     1\n  long  two\n        lines',
  );
});

test('bars and sizes stay within their bounds', () => {
  assert.equal(bar(0), '░'.repeat(24));
  assert.equal(bar(150), '█'.repeat(24));
  assert.equal(bar(50), '█'.repeat(12) + '░'.repeat(12));
  assert.deepEqual([0, 512, 2048, 5 * 1024 ** 3].map(bytesText), ['0 B', '512 B', '2.0 KiB', '5.0 GiB']);
});
