import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileFor, played } from '../played.ts';

test('four processes make a report in which every line names its document, and the talk is drawn', async t => {
  const [out, trace] = [fileFor(t, 'report.md'), fileFor(t, 'talk.mmd')];
  const said = await played(t, ['research-team', '--topic', 'barrage', '--out', out, '--trace', trace]);

  assert.match(said, /^researcher: \{"findings":2,"documents":1\}\n/);
  assert.match(said, /validator: draft 1 has 2 faults\nvalidator: draft 2 is good\n/);
  const lines = readFileSync(out, 'utf8').trimEnd().split('\n').slice(2);
  assert.deepEqual(
    lines.map(line => line.slice(line.lastIndexOf('('))),
    ['(power.md)', '(power.md)'],
  );
  const diagram = readFileSync(trace, 'utf8');
  assert.match(diagram, /^sequenceDiagram\n/);
  for (const type of ['task_request', 'task_response', 'validation_request', 'validation_response'])
    assert.ok(diagram.includes(`: ${type}`), type);
});
