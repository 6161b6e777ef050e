// An output too large for a notification: told by reference, and served whole under that reference (`SAM-83`).

import { hash } from 'node:crypto';
import type { TaskId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { PREFIX } from './route.ts';

/** Outputs beyond this go by reference, in bytes of JSON. */
export const OUTPUT_INLINE_BYTES_MAX = 1024 * 1024;

/** The bytes of an output as its reference serves them: always the same for the same output. */
export function outputText(output: Json): string {
  return JSON.stringify(output);
}

/** The output itself where it is short enough, else `output_ref` in the shape of an artifact. */
export function outputOrRef(id: TaskId, output: Json, origin: string): JsonObject {
  const text = outputText(output);
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes <= OUTPUT_INLINE_BYTES_MAX) return { output };
  return {
    output_ref: {
      type: 'output',
      name: `${id}.output.json`,
      media_type: 'application/json',
      size_bytes: sizeBytes,
      url: `${origin}${PREFIX}/task-output/${id}`,
      checksum: `sha256:${hash('sha256', text, 'hex')}`,
    },
  };
}
