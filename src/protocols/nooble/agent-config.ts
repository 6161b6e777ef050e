// Whether an agent can be set up as asked (`NOOB-38`, `NOOB-40`).

import { isJsonObject, type JsonObject } from '../../domain/json.ts';

/** What is wrong with a field of the configuration. */
export interface ConfigError extends JsonObject {
  readonly field: string;
  readonly message: string;
}

/** All that is wrong; `models` are those that may be named, null where none is configured and names mean nothing. */
export function agentConfigErrors(
  config: JsonObject,
  names: Readonly<Record<string, string>>,
  models: readonly string[] | null,
): readonly ConfigError[] {
  const parameters = isJsonObject(config.parameters) ? config.parameters : {};
  const { temperature } = parameters;
  const errors: ConfigError[] = [];
  if (typeof temperature === 'number' && (temperature < 0 || temperature > 1))
    errors.push({
      field: 'agent_config.parameters.temperature',
      message: `El valor debe estar entre 0 y 1, se recibió: ${temperature}`,
    });
  const model = parameters.model ?? config.model;
  if (typeof model === 'string' && models !== null && !models.includes(names[model] ?? model))
    errors.push({ field: 'agent_config.model', message: `Modelo no compatible: '${model}'` });
  return errors;
}
