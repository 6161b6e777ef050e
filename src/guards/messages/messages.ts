// Puts the guards of messages together, for whichever wire they come by.

import type { Clock } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import type { AttemptLog } from '../attempts.ts';
import type { Documents } from '../documents.ts';
import type { Tenants } from '../tenants.ts';
import type { Vault } from '../vault.ts';
import { AgentKeys } from './agent-keys.ts';
import { MessageConfidence } from './confidence.ts';
import { ServerKeys } from './server-keys.ts';
import { MessageSignatures } from './signatures.ts';

/** What keeps messages true and confidential. */
export interface MessageGuards {
  readonly agentKeys: AgentKeys;
  readonly serverKeys: ServerKeys;
  readonly signatures: MessageSignatures;
  readonly confidence: MessageConfidence;
}

/** Makes them; they have nothing to start or stop. */
export function createMessageGuards(
  clock: Clock,
  random: Random,
  store: Documents,
  parts: {
    readonly vault: Vault;
    readonly tenants: Pick<Tenants, 'options'>;
    readonly attempts: Pick<AttemptLog, 'record'>;
  },
): MessageGuards {
  const agentKeys = new AgentKeys(clock, random, store, parts.vault);
  const serverKeys = new ServerKeys(clock, store, parts.vault);
  return {
    agentKeys,
    serverKeys,
    signatures: new MessageSignatures({ ...parts, clock, agentKeys, serverKeys }),
    confidence: new MessageConfidence({ agentKeys, serverKeys }),
  };
}
