// What the engine needs from whoever encrypts what a task leaves to the key its requester named (`SAM-177`).

import type { JsonObject } from '../../domain/json.ts';

/** Encrypts to public keys, given as JWK. */
export interface Sealer {
  /** Throws `invalid_request`, naming the field, for a key that is no public key to encrypt to. */
  check(key: JsonObject, field: string): Promise<void>;
  /** A compact JWE that only the key's owner can read; `mediaType` says of what. */
  seal(key: JsonObject, content: Uint8Array, mediaType: string): Promise<string>;
}
