// What the task wire does by the clock: gives up on holders who do not answer, and frees what nobody may hold any more. Every node does it;
// what two do at once is done once.

import { pause } from '../../runtime/clock.ts';
import type { DialectKit } from '../dialect/hands.ts';
import type { Control } from './control.ts';
import type { TaskParts } from './parts.ts';
import type { ResourceManager } from './resource-manager.ts';

const LOOK_MS = 1_000;
/** Reservations are looked over every so many looks; whoever asks for some looks first anyhow. */
const TIDY_EVERY = 5;

/** Makes it. */
export function createService(
  parts: TaskParts,
  { control, resources }: { readonly control: Control; readonly resources: ResourceManager },
): NonNullable<DialectKit['service']> {
  const over = new AbortController();
  let working: Promise<void> | null = null;
  return {
    async start() {
      working = work(parts, control, resources, over.signal);
    },
    async stop() {
      over.abort();
      await working;
    },
  };
}

async function work(
  parts: TaskParts,
  control: Control,
  resources: ResourceManager,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log } = parts;
  for (let look = 0; !signal.aborted; look++) {
    try {
      for (const command of await parts.commands.overdue())
        await parts.mailroom().say(await control.giveUp(command));
      if (look % TIDY_EVERY === 0) await resources.tidy();
    } catch (error) {
      log.warn('what the task wire does by the clock is done later', { error: String(error) });
    }
    await pause(clock, LOOK_MS, signal).catch(() => {});
  }
}
