// Which envelopes are closed to whoever has no key.

import { isJsonObject, type JsonObject } from '../../domain/json.ts';

/** Whether the payload is encrypted, and with it all else fixed (`ARMY-112`). */
export function isSealed({
  encryption,
  payload,
}: {
  readonly encryption?: JsonObject[string];
  readonly payload?: JsonObject[string];
}): boolean {
  return encryption === 'end-to-end' && isJsonObject(payload) && isJsonObject(payload.jwe);
}
