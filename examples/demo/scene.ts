// What there is to see: the board, the processes, the webhooks, and the moments worth telling. The tour writes it, a view shows it.

import { Board, type BoardTask } from './board.ts';
import type { ReceiverCounts } from './receiver.ts';

/** How a process is. */
export type ProcessState = 'starting' | 'up' | 'killed';

/** Something worth telling, with the seconds since the beginning. */
export interface Moment {
  readonly seconds: number;
  readonly text: string;
  readonly tone: 'plain' | 'good' | 'bad';
}

/** Shows a scene while it changes. */
export interface View {
  moment(moment: Moment): void;
  ended(task: BoardTask): void;
  /** Lets go of the terminal; nothing is shown afterwards. */
  close(): void;
}

/** The scene of one tour. */
export class Scene {
  readonly board: Board;
  readonly processes = new Map<string, { readonly state: ProcessState; readonly pid: number | null }>();
  readonly moments: Moment[] = [];
  counts: (() => ReceiverCounts) | null = null;
  readonly #begun = performance.now();
  readonly #view: View;

  /** `viewOf` makes the view, which may look at the scene whenever it likes. */
  constructor(viewOf: (scene: Scene) => View) {
    this.board = new Board(task => this.#view.ended(task));
    this.#view = viewOf(this);
  }

  get seconds(): number {
    return (performance.now() - this.#begun) / 1_000;
  }

  process(name: string, state: ProcessState, pid: number | null = null): void {
    this.processes.set(name, { state, pid: pid ?? this.processes.get(name)?.pid ?? null });
  }

  tell(text: string, tone: Moment['tone'] = 'plain'): void {
    const moment = { seconds: this.seconds, text, tone };
    this.moments.push(moment);
    this.#view.moment(moment);
  }

  close(): void {
    this.#view.close();
  }
}
