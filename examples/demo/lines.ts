// The tour where there is no terminal: a line for each moment and each task that ends.

import type { BoardTask } from './board.ts';
import type { Moment, Scene, View } from './scene.ts';

/** Writes lines, without colours, to whatever takes text. */
export function plainLines(scene: Scene, write: (text: string) => void): View {
  const line = (seconds: number, text: string): void =>
    write(`${seconds.toFixed(1).padStart(6)} s  ${text}\n`);
  return {
    moment: ({ seconds, text }: Moment) => line(seconds, text),
    ended(task: BoardTask) {
      const { id, state, holder, attempt } = task;
      const { done, planned } = scene.board;
      line(
        scene.seconds,
        `${id.padEnd(16)} ${state} by ${holder}, attempt ${attempt} (${done} of ${planned})`,
      );
    },
    close() {},
  };
}

/** Shows nothing: for programs that read the summary alone. */
export function silence(): View {
  return { moment() {}, ended() {}, close() {} };
}
