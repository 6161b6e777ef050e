// What a peer must offer to be measured: take a job durably, run jobs with a no-op, stop. One file a peer.

/** Settings a peer is tried with; the best is reported. */
export type Settings = Readonly<Record<string, number | string | boolean>>;

/** Stops whatever it was returned for; idempotent. */
export type Stop = () => Promise<void>;

/** A queue under measurement, on servers of its own. */
export interface Peer {
  readonly name: string;
  readonly version: string;
  /** How its server keeps data, and how it is spoken to. */
  readonly server: string;
  /** Worker settings worth trying. */
  readonly trials: readonly Settings[];
  /** Resolves when the server says the job is stored. */
  submit(payload: object): Promise<void>;
  /** Starts a worker that does nothing per job but tell that it did. */
  work(settings: Settings, onJob: () => void): Promise<Stop>;
  stop: Stop;
}
