// What a receiver asks for when it acknowledges a notification, obeyed within the submitter's rights (`SAM-88`).

import { isJsonObject, type JsonObject } from '../domain/json.ts';
import type { Log } from '../runtime/log.ts';
import type { DueDelivery } from '../store/rows.ts';
import type { EngineApi } from './api.ts';

/** Carries out `next_instructions.action`; what cannot be done any more is logged and dropped. */
export function obeyAcknowledgement(
  log: Log,
  engine: Pick<EngineApi, 'cancel' | 'pause' | 'resume' | 'retry'>,
  { task }: DueDelivery,
  acknowledgement: JsonObject,
): void {
  const instructions = acknowledgement.next_instructions;
  if (instructions === undefined || !isJsonObject(instructions)) return;
  const { action } = instructions;
  const call = {
    tenant: task.tenant,
    id: task.id,
    actor: `webhook:${task.spec.requester.agentId}`,
    reason: 'asked for by the receiver of a notification',
  };
  const obey = async (): Promise<unknown> => {
    switch (action) {
      case 'cancel':
        return engine.cancel(call);
      case 'pause':
        return engine.pause(call);
      case 'resume':
        return engine.resume(call);
      case 'retry':
        return engine.retry(call);
      default:
        return undefined;
    }
  };
  obey().catch(error =>
    log.info('an instruction came too late', { task: task.id, action, error: String(error) }),
  );
}
