// What the engine needs from whoever tells people that something is wrong with the house itself.

import type { JsonObject } from '../../domain/json.ts';

/** Something that somebody should look at. */
export interface Alert {
  /** What happened, in the form of `canary_stopped`. */
  readonly name: string;
  readonly message: string;
  readonly detail: JsonObject;
}

/** Who is told. */
export interface Alerts {
  /** Resolves once the alert is on disk. */
  raise(alert: Alert): Promise<void>;
}
