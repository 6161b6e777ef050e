// Who may say what to whom: the table of pairs, applied (`NOOB-131` to `NOOB-133`, `NOOB-17`).

import type { JsonObject } from '../../domain/json.ts';
import { allows } from '../../domain/principal.ts';
import type { Task } from '../../domain/task.ts';
import type { Caller } from '../dialect/dialect.ts';
import type { Envelope } from './envelope.ts';
import { ruleIn } from './envelope.ts';
import { noobleError } from './errors.ts';
import { isBound } from './services.ts';
import { delegateOf } from './task-terms.ts';

/** Throws AUTH_003 unless the caller may say this, as that service, to that other. */
export function requireMaySay(envelope: Envelope, caller: Caller, task: Task | null): void {
  const { tenant_id: tenant, source_service: source } = envelope;
  if (tenant !== caller.tenant)
    throw forbidden('these credentials are of another tenant', { tenant_id: tenant });
  if (!isBound(caller, source) && !isExecutor(envelope, caller, task))
    throw forbidden(`these credentials are not those of ${source}`, { source_service: source });
  const fault = pairFault(envelope);
  if (fault !== null) throw forbidden(fault, { source_service: source });
  const { needs } = ruleIn(envelope);
  if (needs !== undefined && !allows(caller.principal, needs))
    throw forbidden(`this needs the permission ${needs}`, { required: needs });
}

/** What the table has against the pair being said by that service to that other, or null. */
export function pairFault(
  envelope: Pick<Envelope, 'type' | 'source_service' | 'target_service'> & JsonObject,
): string | null {
  const { type, source_service: source, target_service: target } = envelope;
  const pair = `${type.domain}.${type.action}`;
  const { from, to } = ruleIn(envelope as Envelope);
  if (from !== 'any' && !(from as readonly string[]).includes(source)) return `${source} may not say ${pair}`;
  if (to !== 'any' && to !== 'requester' && to !== target) return `${pair} is not said to ${target}`;
  return null;
}

/** The agent a task was for answers as the service that runs agents (`NOOB-39`). */
function isExecutor({ source_service: source }: Envelope, { agentId }: Caller, task: Task | null): boolean {
  const delegate = task === null ? null : delegateOf(task);
  return agentId !== null && delegate?.agent === agentId && delegate.service === source;
}

function forbidden(message: string, details: JsonObject): Error {
  return noobleError('AUTH_003', message, details);
}
