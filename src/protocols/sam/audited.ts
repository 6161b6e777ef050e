// Administrative actions leave a trace: who did what to which object, and what changed (`SAM-205`).

import type { JsonObject } from '../../domain/json.ts';
import type { AuditRecorder } from '../../guards/audit.ts';
import type { Call } from '../protocol.ts';

/** Records an action of the caller; secrets in the detail are masked by the recorder. */
export function recordAction(
  audit: AuditRecorder,
  { principal, requestId }: Pick<Call, 'principal' | 'requestId'>,
  action: string,
  object: string,
  detail: JsonObject = {},
): void {
  audit.record({ tenant: principal.tenant, action, principal: principal.id, object, detail, requestId });
}
