// The Agents army wire, v1.0.0: its dialect and the agents inside this server that play in it.

import type { DialectHands, DialectKit } from '../dialect/hands.ts';
import { createAgentDesk, createGraceDesk } from './agents.ts';
import { createCoordinator } from './coordinator.ts';
import { armyDialect } from './dialect.ts';
import { createMemory } from './memory.ts';
import { Settings } from './settings.ts';
import { createTaskDesk, createUnclaimedDesk } from './tasks.ts';
import { Tools } from './tools.ts';
import { createValidator } from './validator.ts';

/** Makes the dialect. */
export function createArmyDialect(hands: DialectHands): DialectKit {
  const settings = new Settings(hands.clock, hands.store);
  const tools = new Tools(hands);
  const parts = { ...hands, settings, tools };
  return {
    dialect: armyDialect(parts),
    participants: [
      createTaskDesk(parts),
      createUnclaimedDesk(parts),
      createAgentDesk(parts),
      createGraceDesk(parts),
      createCoordinator(parts),
      createMemory(parts),
      createValidator(hands, settings),
    ],
    service: tools,
  };
}
