// Progress: how far an attempt has come.

/** How far the current attempt has come (`SAM-58`); the percentage never falls within an attempt. */
export interface Progress {
  readonly percentage: number;
  readonly currentStep?: string;
  readonly totalSteps?: number;
  readonly estimated?: boolean;
}
