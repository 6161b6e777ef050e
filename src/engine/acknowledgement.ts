// What a receiver asks for when it acknowledges a notification, obeyed within the submitter's rights (`SAM-88`): it may move the task,
// and change whom to tell of what from now on. What cannot be done is logged and dropped.

import type { NotificationPlan } from '../domain/delivery.ts';
import type { Log } from '../runtime/log.ts';
import type { DueDelivery } from '../store/rows.ts';
import type { ControlCall, EngineApi } from './api.ts';
import type { Control } from './control.ts';
import type { Instructions } from './ports/channel.ts';
import type { Outbound } from './ports/outbound.ts';

/** Who carries instructions out. */
export interface Obeying {
  readonly engine: Pick<EngineApi, 'cancel' | 'pause' | 'resume' | 'retry'>;
  readonly control: Pick<Control, 'replan'>;
  readonly outbound: Pick<Outbound, 'check'>;
}

/** Carries out a receiver's instructions: first the plan, so that what the action leads to is already told by it. */
export async function obeyInstructions(
  log: Log,
  hands: Obeying,
  { task }: Pick<DueDelivery, 'task'>,
  { action, plan, faults }: Instructions,
): Promise<void> {
  const call: ControlCall = {
    tenant: task.tenant,
    id: task.id,
    actor: `webhook:${task.spec.requester.agentId}`,
    reason: 'asked for by the receiver of a notification',
  };
  if (faults.length > 0) log.info('an instruction was not understood', { task: task.id, faults });
  const guarded = async (wish: string, work: () => Promise<unknown>): Promise<void> => {
    await work().catch(error =>
      log.info('an instruction was not obeyed', { task: task.id, wish, error: String(error) }),
    );
  };
  if (Object.keys(plan).length > 0) await guarded('plan', () => changePlan(hands, call, plan));
  if (action !== undefined) await guarded(action, () => hands.engine[action](call));
}

/** A target that may not be called spoils only itself: the rest of the plan is changed all the same. */
async function changePlan(
  { control, outbound }: Obeying,
  call: ControlCall,
  plan: Partial<NotificationPlan>,
): Promise<void> {
  const { url, ...rest } = plan;
  const refusal = url === undefined ? null : await outbound.check(url).then(() => null, reasonOf);
  const wish = url === undefined || refusal !== null ? rest : plan;
  if (Object.keys(wish).length > 0) await control.replan(call, wish);
  if (refusal !== null) throw refusal;
}

function reasonOf(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
