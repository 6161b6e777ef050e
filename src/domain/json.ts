// What JSON is, as a type. Everything that crosses a wire or reaches a store is one of these.

/** Any value JSON can carry. */
export type Json = string | number | boolean | null | readonly Json[] | JsonObject;

/** A JSON object; unknown fields of a request live in one and pass through unchanged (`SAM-3`). */
export interface JsonObject {
  readonly [key: string]: Json | undefined;
}

/** True for a plain JSON object, false for arrays, null and scalars. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
