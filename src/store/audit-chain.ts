// The audit's chain: how an entry's hash binds it to all before it. Every driver writes with it, whoever verifies reads with it.

import { createHmac } from 'node:crypto';
import type { Json } from '../domain/json.ts';
import type { AuditEntry } from './rows.ts';

/** The hash an audit entry must bear after the one before it (`''` for the first), in lower-case hex (`SAM-205`). */
export function auditHash(
  auditKey: string | Uint8Array,
  previousHash: string,
  entry: Omit<AuditEntry, 'hash'>,
): string {
  const { tenant, sequence, at, action, principal, object, detail, requestId } = entry;
  const canonical = canonicalText({ tenant, sequence, at, action, principal, object, detail, requestId });
  return createHmac('sha256', auditKey).update(previousHash).update(canonical).digest('hex');
}

/** JSON with sorted keys and no absent values, so that equal entries have equal text. */
function canonicalText(value: Json | undefined): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value ?? null);
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, field]) => `${JSON.stringify(name)}:${canonicalText(field)}`);
  return `{${fields.join(',')}}`;
}
