// What the door asks of whoever keeps the agents' keys: signatures proven before anything is made of a message.

import type { JsonObject } from '../../domain/json.ts';
import type { Draft } from '../../domain/message.ts';

/** Proves signatures. */
export interface Seals {
  /** Throws `unauthenticated` where a signature is wrong, or lacking where the tenant demands one. */
  verify(envelope: JsonObject, draft: Draft, signatureAt: readonly string[]): Promise<void>;
}
