// Keeps a task's secrets out of whatever it leaves: output, errors, progress, checkpoints, log lines (`SAM-34`, `SAM-63`). What it
// says is masked, never the form it is said in: a secret may be a word of the protocol.

import type { Json } from '../domain/json.ts';
import type { AttemptAlert, AttemptResult, ProgressReport } from './ports/executor.ts';
import type { SecretKeeper } from './ports/secrets.ts';

/** Masks what one task was given. */
export class Mask {
  readonly #keeper: Pick<SecretKeeper, 'mask' | 'maskJson'>;
  readonly #secrets: readonly string[];

  constructor(keeper: Pick<SecretKeeper, 'mask' | 'maskJson'>, secrets: readonly string[]) {
    this.#keeper = keeper;
    this.#secrets = secrets;
  }

  /** The text without the secrets, and without whatever else looks like a credential. */
  text(text: string): string {
    return this.#keeper.mask(text, this.#secrets);
  }

  /** The same in every name and value of a JSON value. */
  json<Value extends Json>(value: Value): Value {
    return this.#keeper.maskJson(value, this.#secrets) as Value;
  }

  /** The very result where the task was given nothing: what it says is then its own. */
  result(result: AttemptResult): AttemptResult {
    if (this.#secrets.length === 0) return result;
    const output = result.output === undefined ? {} : { output: this.json(result.output) };
    if (result.status === 'completed') return { ...result, ...output };
    const { message, details } = result.error;
    const told = details === undefined ? {} : { details: this.json(details) };
    return { ...result, ...output, error: { ...result.error, message: this.text(message), ...told } };
  }

  /** The very report where the task was given nothing. */
  report(report: ProgressReport): ProgressReport {
    if (this.#secrets.length === 0) return report;
    const { currentStep, intermediate, checkpoint, alerts } = report;
    return {
      ...report,
      ...(currentStep === undefined ? {} : { currentStep: this.text(currentStep) }),
      ...(intermediate === undefined ? {} : { intermediate: this.json(intermediate) }),
      ...(checkpoint === undefined ? {} : { checkpoint: this.json(checkpoint) }),
      ...(alerts === undefined ? {} : { alerts: alerts.map(alert => this.#alert(alert)) }),
    };
  }

  #alert(alert: AttemptAlert): AttemptAlert {
    if (alert.kind === 'resource_warning') return { ...alert, resource: this.text(alert.resource) };
    if (alert.kind === 'note') return { ...alert, detail: this.json(alert.detail) };
    const { message, details } = alert.error;
    const told = details === undefined ? {} : { details: this.json(details) };
    return { ...alert, error: { ...alert.error, message: this.text(message), ...told } };
  }
}
