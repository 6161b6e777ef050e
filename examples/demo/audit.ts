// The audit at the end: asks the server about every task it acknowledged, and compares with what the receiver dealt with. Believes
// nothing the demo noted on the way except what was acknowledged.

import { setTimeout as pause } from 'node:timers/promises';
import { type BatutaClient, type DeliveryView, outcomeOf, type TaskStatus } from '../../src/sdk/index.ts';
import { notificationName, type Receiver } from './receiver.ts';

/** What the audit found. */
export interface Findings {
  readonly acknowledged: number;
  readonly completed: number;
  /** Acknowledged tasks whose end is missing: by `task-status`. */
  readonly lost: readonly string[];
  /** Tasks that ended otherwise than completed. */
  readonly failed: readonly string[];
  /** Tasks with two ends (by `task-events`), or two results (by the webhooks). */
  readonly endedTwice: readonly string[];
  /** Notifications the receiver dealt with more than once. */
  readonly processedTwice: readonly string[];
  /** Notifications the server holds to be delivered and the receiver has not seen, or could not deliver. */
  readonly undelivered: readonly string[];
  readonly attempts: AttemptFindings;
  readonly webhooks: WebhookFindings;
}

/** How often tasks were begun. */
export interface AttemptFindings {
  readonly total: number;
  readonly repeated: number;
  /** Of the repeated ones, those that began at a checkpoint. */
  readonly resumed: number;
  /** Steps that need not be done again, thanks to checkpoints. */
  readonly stepsSpared: number;
}

/** What became of notifications. */
export interface WebhookFindings {
  readonly delivered: number;
  readonly processed: number;
  readonly requests: number;
  readonly repeats: number;
  readonly refused: number;
  readonly withheld: number;
}

const DELIVERY_POLL_MS = 200;
const DELIVERY_MS_MAX = 20_000;
const DELIVERIES_MAX = 1_000;

/** Waits until nothing is on its way any more, then audits; tasks that a workflow's steps ran as are looked for too, and not counted. */
export async function audit(
  client: BatutaClient,
  acknowledged: readonly string[],
  receiver: Pick<Receiver, 'counts'>,
  steps: readonly string[] = [],
): Promise<Findings> {
  const deliveries = await settledDeliveries(client);
  const all = [...acknowledged, ...steps];
  const { tasks } = await client.statuses({ task_ids: all, limit: all.length });
  const ended = tasks.filter(task => outcomeOf(task) !== null);
  const found = new Set(ended.map(({ task_id: id }) => id));
  const ends = await Promise.all([...found].map(async id => [id, await endsOf(client, id)] as const));
  const counts = receiver.counts();
  const counted = new Set(acknowledged);
  const completed = ended.filter(task => counted.has(task.task_id) && outcomeOf(task) === 'completed');
  const delivered = deliveries.filter(({ status }) => status === 'delivered');
  return {
    acknowledged: acknowledged.length,
    completed: completed.length,
    lost: all.filter(id => !found.has(id)),
    failed: ended.flatMap(task => (outcomeOf(task) === 'completed' ? [] : [task.task_id])),
    endedTwice: ends.flatMap(([id, count]) =>
      count === 1 && (counts.outputs.get(id)?.size ?? 0) <= 1 ? [] : [id],
    ),
    processedTwice: [...counts.processed].flatMap(([name, times]) => (times > 1 ? [name] : [])),
    undelivered: deliveries.flatMap(delivery => (isSeen(delivery, receiver) ? [] : [nameOf(delivery)])),
    attempts: attemptsIn(await Promise.all(completed.map(({ task_id: id }) => client.status(id)))),
    webhooks: {
      delivered: delivered.length,
      processed: counts.processed.size,
      requests: counts.requests,
      repeats: counts.repeats,
      refused: counts.refused,
      withheld: counts.withheld,
    },
  };
}

/** All notifications, once each was delivered, given up or superseded, or that took too long. */
async function settledDeliveries(client: BatutaClient): Promise<readonly DeliveryView[]> {
  const deadline = performance.now() + DELIVERY_MS_MAX;
  for (;;) {
    const { deliveries, total } = await client.deliveries.list({ limit: DELIVERIES_MAX });
    if (total > DELIVERIES_MAX) throw new RangeError(`${total} deliveries are more than this audit reads`);
    const isSettled = deliveries.every(({ status }) => status !== 'pending' && status !== 'sending');
    if (isSettled || performance.now() > deadline) return deliveries;
    await pause(DELIVERY_POLL_MS);
  }
}

/** How many ends the task's events tell, from its first one on. */
async function endsOf(client: BatutaClient, taskId: string): Promise<number> {
  let ends = 0;
  for await (const { event, data } of client.events(taskId)) {
    if (event === 'state_changed' && ENDS.has(String(data.to))) ends += 1;
  }
  return ends;
}

const ENDS: ReadonlySet<string> = new Set(['completed', 'failed', 'timeout', 'cancelled', 'rejected']);

/** Progress that newer progress has overtaken is dropped, as it should be. */
function isSeen(delivery: DeliveryView, receiver: Pick<Receiver, 'counts'>): boolean {
  if (delivery.status === 'dropped') return true;
  return delivery.status === 'delivered' && receiver.counts().processed.has(nameOf(delivery));
}

function nameOf(delivery: DeliveryView): string {
  const { task_id, event_type, sequence } = delivery;
  return notificationName({ task_id, event_type, sequence: Number(sequence) });
}

function attemptsIn(statuses: readonly TaskStatus[]): AttemptFindings {
  const begun = statuses.map(({ current_status: { attempt } }) => attempt ?? 1);
  const resumed = statuses.map(resumedAfter).filter(steps => steps > 0);
  const total = begun.reduce((sum, attempts) => sum + attempts, 0);
  return {
    total,
    repeated: total - statuses.length,
    resumed: resumed.length,
    stepsSpared: resumed.reduce((sum, steps) => sum + steps, 0),
  };
}

/** The steps an earlier attempt had done, as the task itself tells: our worker in its output, our programs in their result. */
function resumedAfter(status: TaskStatus): number {
  const output = (status.execution_details?.output ?? {}) as {
    resumedAfter?: number;
    result?: { resumedAfter?: number } | null;
  };
  return output.resumedAfter ?? output.result?.resumedAfter ?? 0;
}
