// What other processes on the same store did, brought to the rooms it concerns. Hints get lost, so every room also looks by itself;
// what is heard here only makes it look sooner.

import { PIPE_IN_KIND, PIPE_OUT_KIND } from '../domain/pipe.ts';
import type { Watch } from '../runtime/watch.ts';
import type { Store } from '../store/store.ts';
import type { Attempts } from './attempts.ts';
import type { Canaries } from './canaries.ts';
import type { Dispatcher } from './dispatch.ts';
import type { Pipes } from './pipes.ts';
import type { Schedules } from './schedules.ts';
import type { Signals } from './signals.ts';
import type { Sweeper } from './sweeper.ts';

/** Timers that others set are looked for after this long at most, so that a busy neighbour does not have us look all the time. */
const SWEEP_SOON_MS = 100;

/** Listens to a store's hints; answers how to stop. */
export function hearOthers(
  store: Pick<Store, 'hear'>,
  rooms: {
    readonly signals: Signals;
    readonly attempts: Attempts;
    readonly dispatcher: Dispatcher;
    readonly sweeper: Sweeper;
    readonly agents: Watch;
    readonly canaries: Pick<Canaries, 'look'>;
    readonly pipes: Pick<Pipes, 'heard'>;
    readonly schedules: Pick<Schedules, 'look'>;
  },
  onError: (error: unknown) => void,
): () => void {
  return store.hear(({ tasks, ready, due, documents }) => {
    rooms.signals.ring(tasks);
    rooms.attempts.doubt(tasks).catch(onError);
    rooms.attempts.refresh(tasks).catch(onError);
    if (ready) rooms.dispatcher.look();
    if (due) rooms.sweeper.wake(SWEEP_SOON_MS);
    if (documents === null || documents.includes('agent')) rooms.agents.tell();
    if (documents?.includes('canary') === true) void rooms.canaries.look();
    if (documents === null || documents.includes('schedule')) rooms.schedules.look();
    if (documents === null || documents.some(isPipe)) rooms.pipes.heard();
  });
}

function isPipe(kind: string): boolean {
  return kind === PIPE_OUT_KIND || kind === PIPE_IN_KIND;
}
