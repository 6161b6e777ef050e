// What a message may hold before anything is made of it: clean text, and no request that offends.

import { DomainError } from '../../domain/errors.ts';
import { type Guardrails, violation } from '../../domain/guardrails.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Meaning } from '../../domain/message.ts';
import { offencesIn } from '../../guards/content/moderation.ts';
import { sanitizedJson, uncleanFields } from '../../guards/content/sanitize.ts';
import type { Dialect } from './dialect.ts';

/** The envelope with clean text (`ARMY-81`); a signed one must be clean as it came, or throws `invalid_request`. */
export function cleanEnvelope(
  envelope: JsonObject,
  { signatureAt }: Pick<Dialect, 'signatureAt'>,
): JsonObject {
  const isSigned = signatureAt.reduce<Json | undefined>(memberOf, envelope) !== undefined;
  if (!isSigned) return sanitizedJson(envelope) as JsonObject;
  const unclean = uncleanFields(envelope);
  if (unclean.length === 0) return envelope;
  throw new DomainError('invalid_request', 'a signed message holds characters that must not be used', {
    details: {
      rule: 'unclean_text',
      errors: unclean.map(field => ({ field, message: 'has control characters or marks of direction' })),
    },
  });
}

/** Throws `policy_violation` for a request that offends, where its wire or the tenant refuses such (`ARMY-73`). */
export function refuseOffence(
  meaning: Meaning,
  { refusesOffence = false }: Pick<Dialect, 'refusesOffence'>,
  { offensiveContent }: Guardrails,
): void {
  if (meaning.act !== 'request_task') return;
  if (offensiveContent === 'allow' || (offensiveContent === 'wire' && !refusesOffence)) return;
  const { description, input, terms } = meaning.task;
  const offences = offencesIn(textsOf([description, input, terms]).join('\n'));
  if (offences.length === 0) return;
  const categories = [...new Set(offences.map(({ category }) => category))];
  throw violation('offensive_content', 'the request offends', { categories });
}

/** Into one list: lists of lists would be copied once a level. */
function textsOf(value: Json | undefined, found: string[] = []): readonly string[] {
  if (typeof value === 'string') found.push(value);
  else if (typeof value === 'object' && value !== null)
    for (const one of Object.values(value)) textsOf(one, found);
  return found;
}

function memberOf(value: Json | undefined, name: string): Json | undefined {
  return isJsonObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}
