// The tour on a terminal: one picture, drawn over itself a few times a second. What is in it is decided by `picture`, which is pure;
// the rest owns the cursor.

import { stripVTControlCharacters, styleText } from 'node:util';
import type { BoardTask, StageCount } from './board.ts';
import type { Moment, ProcessState, Scene, View } from './scene.ts';

const DRAW_MS = 100;
const ESCAPE = '\u001b[';
const HIDE_CURSOR = `${ESCAPE}?25l`;
const SHOW_CURSOR = `${ESCAPE}?25h`;
const CLEAR_LINE = `${ESCAPE}K`;
const CLEAR_BELOW = `${ESCAPE}J`;
const BAR_WIDTH = 16;
/** Lines that are always there: title, processes, stages, heads, webhooks and what parts them. */
const FIXED_LINES = 13;

/** Draws on the terminal until it is closed; the last picture stays. */
export function terminalScreen(scene: Scene, terminal: NodeJS.WriteStream): View {
  let drawn = 0;
  const draw = (size: Size): void => {
    const lines = picture(scene, size);
    const up = drawn === 0 ? '' : `${ESCAPE}${drawn}A`;
    terminal.write(`${up}\r${lines.map(line => `${line}${CLEAR_LINE}\n`).join('')}${CLEAR_BELOW}`);
    drawn = lines.length;
  };
  const size = (): Size => ({ columns: terminal.columns, rows: terminal.rows });
  terminal.write(HIDE_CURSOR);
  const timer = setInterval(() => draw(size()), DRAW_MS);
  return {
    moment() {},
    ended() {},
    close() {
      clearInterval(timer);
      draw({ ...size(), rows: Number.POSITIVE_INFINITY });
      terminal.write(SHOW_CURSOR);
    },
  };
}

/** A terminal's size, in characters. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** The lines to show, none wider and not more than the terminal has. */
export function picture(scene: Scene, { columns, rows }: Size): readonly string[] {
  const room = Math.max(4, rows - 1 - FIXED_LINES);
  const moments = scene.moments.slice(-Math.max(2, Math.floor(room / 2)));
  const running = scene.board.running().slice(0, room - moments.length);
  const lines = [
    titleLine(scene, columns),
    processesLine(scene),
    '',
    ...scene.board.stages().map(stage => stageLine(stage, scene.board.tasks)),
    styleText('dim', `${' '.repeat(10)}█ done  ▓ done at a later attempt  ▒ running  · waiting  ✗ failed`),
    '',
    ...(running.length === 0 ? [] : [HEADS, ...running.map(task => runningLine(task, scene)), '']),
    webhooksLine(scene),
    '',
    ...moments.map(momentLine),
  ];
  return lines.map(line => clipped(line, columns));
}

const HEADS = styleText('dim', row('TASK', 'HELD BY', 'ATTEMPT', 'PROGRESS'));

function titleLine({ seconds, board }: Scene, columns: number): string {
  const left = board.planned === 0 ? 'Batuta' : `Batuta  ${board.done} of ${board.planned} tasks done`;
  const right = `${seconds.toFixed(1)} s`;
  const between = ' '.repeat(Math.max(1, Math.min(columns, 100) - left.length - right.length));
  return styleText('bold', `${left}${between}${right}`);
}

function processesLine({ processes }: Scene): string {
  const told = [...processes].map(([name, { state, pid }]) => `${name} ${dot(state)} ${pid ?? ''}`.trimEnd());
  return told.join('   ');
}

function dot(state: ProcessState): string {
  switch (state) {
    case 'starting':
      return styleText('yellow', '○ starting');
    case 'up':
      return styleText('green', '●');
    case 'killed':
      return styleText('red', '✗ killed');
  }
}

function stageLine({ stage, all, done, running }: StageCount, tasks: readonly BoardTask[]): string {
  const cells = tasks.filter(task => task.stage === stage).map(cell);
  const under = running === 0 ? '' : `, ${running} running`;
  return `${stage.padEnd(10)}${cells.join('')}  ${done} of ${all}${under}`;
}

function cell({ state, attempt }: BoardTask): string {
  switch (state) {
    case 'completed':
      return styleText('green', attempt > 1 ? '▓' : '█');
    case 'running':
      return styleText('yellow', '▒');
    case 'failed':
      return styleText('red', '✗');
    case 'waiting':
      return styleText('dim', '·');
  }
}

function runningLine({ id, holder, attempt, percentage, step }: BoardTask, { processes }: Scene): string {
  const filled = Math.round((Math.min(100, percentage) / 100) * BAR_WIDTH);
  const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
  const line = row(
    id,
    holder,
    String(attempt),
    `${bar} ${String(Math.round(percentage)).padStart(3)} %  ${step}`,
  );
  return processes.get(holder)?.state === 'killed' ? styleText('red', line) : line;
}

function row(task: string, holder: string, attempt: string, progress: string): string {
  return `${task.padEnd(18)}${holder.slice(0, 16).padEnd(18)}${attempt.padEnd(9)}${progress}`;
}

function webhooksLine({ counts }: Scene): string {
  if (counts === null) return 'webhooks  none yet';
  const { processed, repeats, refused } = counts();
  return `webhooks  verified ${processed.size}, repeats dropped ${repeats}, forgeries refused ${refused}`;
}

function momentLine({ seconds, text, tone }: Moment): string {
  const line = `${seconds.toFixed(1).padStart(6)} s  ${text}`;
  if (tone === 'plain') return line;
  return styleText(tone === 'bad' ? 'red' : 'green', line);
}

/** A line too wide loses its colours with its end. */
function clipped(line: string, columns: number): string {
  const plain = stripVTControlCharacters(line);
  return plain.length <= columns ? line : `${plain.slice(0, Math.max(0, columns - 1))}…`;
}
