// Who is told that something is wrong with the house itself: the audit of the default tenant, which keeps it, and the process's log.

import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { Alerts } from '../engine/ports/alerts.ts';
import type { AuditWriter } from '../guards/audit.ts';
import type { Log } from '../runtime/log.ts';

/** Alerts as audit entries of the action `alert.<name>`, by `system`. */
export function createAlerts(log: Log, audit: Pick<AuditWriter, 'record' | 'flush'>): Alerts {
  return {
    async raise({ name, message, detail }) {
      log.error(message, { alert: name });
      audit.record({
        tenant: DEFAULT_TENANT,
        action: `alert.${name}`,
        principal: 'system',
        detail: { message, ...detail },
      });
      await audit.flush();
    },
  };
}
