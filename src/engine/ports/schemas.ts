// What the engine needs from whoever validates data against JSON Schemas, its own and those users register.

import type { Json, JsonObject } from '../../domain/json.ts';

/** Validates data by schema. */
export interface PayloadCheck {
  /** Throws `invalid_request` with every fault in `details.errors` as `{field, message}`, the paths beginning with `root`. */
  check(schema: JsonObject, data: Json, root: string): Promise<void>;
  /** Throws `invalid_request` if the schema itself is not one, or too costly to apply. */
  admit(schema: JsonObject, root: string): Promise<void>;
}
