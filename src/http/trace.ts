// W3C trace context of a request: the caller's continued where it is well formed, else one begun here (`SAM-2`).

import type { Random } from '../runtime/random.ts';

/** A trace and the header that hands it on. */
export interface Trace {
  /** 32 hex digits. */
  readonly traceId: string;
  readonly traceparent: string;
}

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The trace named by an incoming `traceparent`, or a new one where there is none that can be used. */
export function traceOf(incoming: string | undefined, random: Random): Trace {
  const traceId = incoming === undefined ? undefined : TRACEPARENT.exec(incoming)?.[1];
  if (incoming !== undefined && traceId !== undefined) return { traceId, traceparent: incoming };
  // A UUIDv7 ends in the 62 random bits that trace context asks for, and costs a tenth of as many fresh bytes.
  const fresh = random.uuid().replaceAll('-', '');
  const span = random.uuid().replaceAll('-', '').slice(16);
  return { traceId: fresh, traceparent: `00-${fresh}-${span}-01` };
}
