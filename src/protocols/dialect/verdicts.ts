// What readers say of deliveries, as they say it and as the mailroom takes it.

import { type InboxName, inboxOfAgent } from '../../domain/message.ts';
import type { Verdicted } from '../../engine/mailroom/mailroom.ts';

/** Seconds until what is not acknowledged comes again, where nobody says how many. */
export const VISIBILITY_S = 30;

/** One verdict as it is sent. */
export interface AckItem {
  readonly delivery_id: string;
  readonly outcome: 'ack' | 'nack' | 'extend' | 'reject';
  readonly delay_ms?: number;
  readonly visibility_s?: number;
  readonly reason?: string;
}

/** A verdict as the mailroom takes it; without a delay it comes back at once. */
export function verdictOf(item: AckItem): Verdicted {
  const id = item.delivery_id;
  switch (item.outcome) {
    case 'ack':
      return { id, verdict: { outcome: 'ack' } };
    case 'nack':
      return { id, verdict: { outcome: 'nack', delayMs: item.delay_ms ?? 0 } };
    case 'extend':
      return {
        id,
        verdict: { outcome: 'extend', visibilityMs: (item.visibility_s ?? VISIBILITY_S) * 1_000 },
      };
    case 'reject':
      return { id, verdict: { outcome: 'reject', reason: item.reason ?? '' } };
  }
}

/** The inboxes deliveries to a reader may be from: those it reads, and where its work comes. */
export function ownInboxes(inboxes: readonly InboxName[], worker: string | null): readonly InboxName[] {
  return worker === null ? inboxes : [...new Set([...inboxes, inboxOfAgent(worker)])];
}
