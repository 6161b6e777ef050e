// What a template of a workflow is.

import type { JsonObject } from '../../domain/json.ts';

/** A step as a template has it. */
export interface TemplateStep extends JsonObject {
  readonly step_id: string;
  readonly name: string;
  readonly step_type: string;
  readonly depends_on?: readonly string[];
  readonly condition?: string;
  readonly agent_config?: JsonObject;
  readonly input_data?: JsonObject;
  readonly expected_output?: JsonObject;
  readonly on_failure?: string;
  /** How long one that asks somebody for work may take. */
  readonly timeout_seconds?: number;
}

/** A template in one version. */
export interface Template extends JsonObject {
  readonly template_id: string;
  readonly version: string;
  readonly steps: readonly TemplateStep[];
}
