// The one lifecycle of everything long-lived.

/** Something that runs until stopped. */
export interface Service {
  /** Resolves when it is ready to serve; rejects if it cannot. */
  start(): Promise<void>;
  /** Resolves when it has let go of everything; idempotent. */
  stop(): Promise<void>;
}
