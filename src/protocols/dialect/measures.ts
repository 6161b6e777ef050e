// A tenant's messages in figures for `GET /api/v2/metrics` (`TASK-60`): what passed the doors of a dialect, and what waits.

import type { TenantId } from '../../domain/ids.ts';
import type { Mailroom } from '../../engine/mailroom/mailroom.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Measure } from '../measures.ts';
import type { Figures } from './figures.ts';

/** Inboxes shown by name, the fullest; all count in the sum. */
const INBOXES_MAX = 100;

/** What passed a dialect's doors in this process. */
export function doorMeasures(protocol: string, figures: Figures, tenant: TenantId): readonly Measure[] {
  const { messages, handled, deliveries, redeliveries } = figures.show(tenant);
  const counter = (name: string, help: string, value: number, labels = {}): Measure => {
    return {
      name: `batuta_message${name}_total`,
      help,
      type: 'counter',
      labels: { protocol, ...labels },
      value,
    };
  };
  const came = Object.entries(messages).flatMap(([type, outcomes]) =>
    Object.entries(outcomes).map(([outcome, count]) =>
      counter('s', 'Messages that came, by type and outcome.', count, { type, outcome }),
    ),
  );
  return [
    ...came,
    counter('s_handled', 'Messages whose handling was timed.', handled.count),
    counter('_handling_seconds', 'Time spent on them.', handled.ms / 1_000),
    counter('_deliveries', 'Messages handed out.', deliveries),
    counter('_redeliveries', 'Messages handed out anew.', redeliveries),
  ];
}

/** What waits in inboxes, and what nobody got, whatever wire it came by. */
export async function mailMeasures(
  { mailroom, clock }: { readonly mailroom: Pick<Mailroom, 'depths' | 'deadCounts'>; readonly clock: Clock },
  tenant: TenantId,
): Promise<readonly Measure[]> {
  const [depths, dead] = await Promise.all([mailroom.depths(tenant), mailroom.deadCounts(tenant)]);
  const now = clock.now();
  const gauge = (name: string, help: string, value: number, labels = {}): Measure => {
    return { name: `batuta_${name}`, help, type: 'gauge', labels, value };
  };
  const sized = depths.map(one => ({ ...one, depth: one.waiting + one.held }));
  const fullest = sized.toSorted((one, other) => other.depth - one.depth).slice(0, INBOXES_MAX);
  const ages = depths.map(({ oldestAt }) => (oldestAt === null ? 0 : now - oldestAt));
  const total = sized.reduce((sum, { depth }) => sum + depth, 0);
  return [
    gauge('inboxes_depth', 'Messages in all inboxes.', total),
    gauge('inboxes_oldest_seconds', 'Age of the oldest of them.', Math.max(0, ...ages) / 1_000),
    ...fullest.flatMap(({ inbox, depth, oldestAt }) => [
      gauge('inbox_depth', 'Messages in an inbox; the fullest alone are named.', depth, { inbox }),
      gauge('inbox_oldest_seconds', 'Age of its oldest.', oldestAt === null ? 0 : (now - oldestAt) / 1_000, {
        inbox,
      }),
    ]),
    ...dead.map(({ dialect: protocol, reason, count }) =>
      gauge('dead_letters', 'Messages nobody got, by wire and reason.', count, { protocol, reason }),
    ),
  ];
}
