// Keeps a task's secrets out of whatever it leaves: output, errors, progress, checkpoints, log lines (`SAM-34`, `SAM-63`).

import type { Json } from '../domain/json.ts';
import type { SecretKeeper } from './ports/secrets.ts';

/** The value with every secret masked, in names and values at any depth; the very value where the task has none. */
export function masked<Value>(
  value: Value,
  secrets: readonly string[],
  keeper: Pick<SecretKeeper, 'maskJson'>,
): Value {
  return secrets.length === 0 ? value : (keeper.maskJson(value as Json, secrets) as Value);
}
