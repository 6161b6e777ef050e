// What is signed or encrypted, and what must not be done to it: a signed envelope stays as it is, an encrypted payload is judged when it
// is opened (`NOOB-138` to `NOOB-143`).

import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { EnvelopeScene } from '../dialect/dialect.ts';
import { noobleError } from './errors.ts';
import { invalid } from './faults.ts';
import { metadataOf } from './metadata.ts';

/** Whether only its receivers can read its payload. */
export function isEncrypted({ payload }: JsonObject): boolean {
  return isJsonObject(payload) && Object.hasOwn(payload, 'jwe') && Object.keys(payload).length === 1;
}

/** Whether any change to it would be found out. */
export function isSealed(envelope: JsonObject): boolean {
  return Object.hasOwn(metadataOf(envelope), 'signature') || isEncrypted(envelope);
}

/** Throws where a message did not travel as it asks to; one that was opened here did. */
export function requireEncryption(envelope: JsonObject, { isPrivate, again }: EnvelopeScene): void {
  const { encryption } = metadataOf(envelope);
  if (encryption === 'tls' && !isPrivate)
    throw noobleError('AUTH_003', 'the message asks for an encrypted connection and came by another', {
      field: 'metadata.encryption',
    });
  if (encryption === 'end-to-end' && again === undefined && !isEncrypted(envelope))
    throw invalid([{ field: 'payload.jwe', code: 'VAL_002', message: 'is required' }]);
}
