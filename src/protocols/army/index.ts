// The Agents army wire, v1.0.0: its dialect and the agents inside this server that play in it.

import type { DialectHands, DialectKit } from '../dialect/hands.ts';
import { createAgentDesk, createGraceDesk } from './agents.ts';
import { createCoordinator } from './coordinator.ts';
import { armyDialect } from './dialect.ts';
import type { Judge, MemoryKeeper } from './inner.ts';
import { createMemory } from './memory.ts';
import { createRecords } from './records.ts';
import { Settings } from './settings.ts';
import { createTaskDesk, createUnclaimedDesk } from './tasks.ts';
import { createValidator, presence } from './validator.ts';

/** Makes the dialect; `inner` is who keeps its records and judges its results. */
export function createArmyDialect(
  hands: DialectHands,
  inner: { readonly memory: MemoryKeeper; readonly judge: Judge } = {
    memory: createRecords(hands),
    judge: presence,
  },
): DialectKit {
  const settings = new Settings(hands.clock, hands.store);
  const parts = { ...hands, settings };
  return {
    dialect: armyDialect(parts),
    participants: [
      createTaskDesk(parts),
      createUnclaimedDesk(parts),
      createAgentDesk(parts),
      createGraceDesk(parts),
      createCoordinator(parts),
      createMemory(inner.memory, settings),
      createValidator(inner.judge, settings, hands.store),
    ],
  };
}
