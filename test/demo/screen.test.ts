import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { silence } from '../../examples/demo/lines.ts';
import { Scene } from '../../examples/demo/scene.ts';
import { picture } from '../../examples/demo/screen.ts';

/** A scene in the middle of things: one task done, one at its second attempt, the rest waiting. */
function setup() {
  const scene = new Scene(silence);
  const { board } = scene;
  const ids = Array.from({ length: 30 }, (_, at) => `report-${at}`);
  for (const id of ids) board.add({ id, stage: 'reports', type: 'custom:report', data: {} });
  board.plan(ids.length);
  const move = (id: string, to: string, attempt: number): void =>
    board.take({
      id: null,
      event: 'state_changed',
      data: { task_id: id, to, attempt, actor: 'agent:ada' },
    });
  move('report-0', 'running', 1);
  move('report-0', 'completed', 1);
  for (const id of ids.slice(1)) move(id, 'running', 1);
  for (const id of ids.slice(2)) move(id, 'queued', 1);
  move('report-1', 'queued', 1);
  move('report-1', 'running', 2);
  for (let moment = 0; moment < 20; moment++)
    scene.tell('something that takes many words to tell '.repeat(4));
  return scene;
}

test('the picture shows each task’s state, and who holds what runs at which attempt', () => {
  const text = picture(setup(), { columns: 100, rows: 40 }).map(stripVTControlCharacters).join('\n');
  assert.match(text, /^Batuta {2}1 of 30 tasks done/);
  assert.match(text, new RegExp(`^reports {3}█▒${'·'.repeat(28)} {2}1 of 30, 1 running$`, 'm'));
  assert.match(text, /^report-1 +ada +2 +░+ +0 %/m);
});

test('the picture fits the terminal, whatever its size', () => {
  const scene = setup();
  for (const [columns, rows] of [
    [80, 24],
    [40, 20],
    [200, 60],
  ] as const) {
    const lines = picture(scene, { columns, rows }).map(stripVTControlCharacters);
    assert.ok(lines.length < rows, `${lines.length} lines in ${rows}`);
    assert.ok(lines.every(line => line.length <= columns));
  }
});
