import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { Capture, type MarkedLine, markedLine } from './capture.ts';

const root = await mkdtemp(join(tmpdir(), 'batuta-capture-'));
after(() => rm(root, { recursive: true }));
let captures = 0;

async function captured(chunks: readonly Buffer[], secrets: readonly string[] = []) {
  const lines: string[] = [];
  const marks: MarkedLine[] = [];
  const capture = new Capture({
    path: join(root, String(++captures)),
    bytesMax: 1 << 24,
    onLine: line => lines.push(line),
    onMark: mark => marks.push(mark),
    secrets,
  });
  for (const chunk of chunks) await capture.write(chunk);
  await capture.end();
  return { capture, lines, marks, whole: capture.isLong ? await text(capture.whole()) : capture.text() };
}

test('SAM-140 a marked line reports progress, a checkpoint or the result; anything else is output', () => {
  const progress = (report: object) => ({ kind: 'report', report });
  const lines: readonly [string, unknown][] = [
    ['::batuta progress=40', progress({ percentage: 40 })],
    ['::batuta progress=12.5 total=3', progress({ percentage: 12.5, totalSteps: 3 })],
    ['::batuta step="a \\"b\\" \\\\ c" progress=1', progress({ percentage: 1, currentStep: 'a "b" \\ c' })],
    ['::batuta step=plain', progress({ currentStep: 'plain' })],
    ['::batuta checkpoint={"a":[1]}', progress({ checkpoint: { a: [1] } })],
    ['::batuta result="x=y progress=1"', { kind: 'result', value: 'x=y progress=1' }],
    ['::batuta result={', null],
    ['::batuta hello', null],
    ['::batuta total=3', null],
    [' ::batuta progress=40', null],
    ['::batutaprogress=40', null],
  ];
  for (const [line, expected] of lines) assert.deepEqual(markedLine(line), expected, line);
});

test('marked lines are taken out however the stream is cut into chunks, and nothing else is', async () => {
  const stream = Buffer.from(
    'one\n::batuta progress=1\ntwö ::batuta progress=2\n\n::batuta result=[3]\n::batuta no\nlast',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(stream.length), { maxLength: 8 }), async cuts => {
      const places = [0, ...cuts.sort((a, b) => a - b), stream.length];
      const chunks = places.slice(1).map((end, index) => stream.subarray(places[index], end));
      const { capture, marks, lines } = await captured(chunks);
      assert.equal(capture.text(), 'one\ntwö ::batuta progress=2\n\n::batuta no\nlast');
      assert.deepEqual(
        marks.map(({ kind }) => kind),
        ['report', 'result'],
      );
      assert.deepEqual(lines, ['one', 'twö ::batuta progress=2', '::batuta no', 'last']);
    }),
    { numRuns: 50 },
  );
});

test('SAM-140 what is longer than 64 KiB is whole in the file, its beginning inline and never half a character', async () => {
  const said = 'ä'.repeat(100_000);
  const { capture, whole } = await captured([Buffer.from(`x${said}\n`), Buffer.from('more\n')]);
  assert.equal(whole, `x${said}\nmore\n`);
  assert.equal(capture.text(), `x${'ä'.repeat((64 * 1_024) / 2 - 1)}`);
  assert.ok(capture.lastWords().endsWith('ä\nmore\n'));
});

test('SAM-62 a thousand lines are logged, the rest is in the output only', async () => {
  const { lines, whole } = await captured([
    Buffer.from(Array.from({ length: 3_000 }, (_, n) => `line ${n}\n`).join('')),
  ]);
  assert.equal(lines.length, 1_001);
  assert.equal(lines.at(-1), 'further lines are in the output only');
  assert.equal(whole.split('\n').length, 3_001);
});

test('SAM-34 secrets are masked before anything is kept, also where a chunk ends inside one', async () => {
  const { lines, whole } = await captured([Buffer.from('a s3c'), Buffer.from('ret b\n')], ['s3cret', '']);
  assert.deepEqual([whole, lines], ['a *** b\n', ['a *** b']]);
});
