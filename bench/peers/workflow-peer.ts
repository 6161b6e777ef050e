// What an engine of workflows must offer to be measured: steps that do nothing, each kept durably once it is done, one after another or side
// by side. One file a peer.

import type { Stop } from './peer.ts';

/** An engine of workflows under measurement, on servers of its own. */
export interface WorkflowPeer {
  readonly name: string;
  readonly version: string;
  /** How its server keeps data, and how it is spoken to. */
  readonly server: string;
  /** Runs a workflow of so many steps, one after another; resolves when its end is stored. */
  chain(steps: number): Promise<void>;
  /** Runs a workflow of so many steps side by side, and one that joins them; resolves when its end is stored. */
  fanOut(width: number): Promise<void>;
  readonly stop: Stop;
}
