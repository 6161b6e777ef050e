// What a record is found by: the words of its name and value, in passages.

import type { Json } from '../../domain/json.ts';
import type { RecordChunk } from '../../domain/record.ts';
import { passagesOf } from '../../domain/text/passages.ts';

/** About 150 words, a few sentences of which say where they come from. */
const PASSAGE = { lengthMax: 1_000, overlapMax: 150 };

/** The passages of a document. */
export function chunksOfDocument(content: string): readonly RecordChunk[] {
  return numbered(passagesOf(content.toWellFormed(), PASSAGE));
}

/** The passages of a value: its name, then all its words. A value without any is found by its name. */
export function chunksOfValue(key: string, value: Json): readonly RecordChunk[] {
  const name = key.replace(/[^\p{L}\p{N}]+/gu, ' ').trim();
  const text = [name, ...textsIn(value)].join('\n').toWellFormed();
  const passages = passagesOf(text, PASSAGE);
  return numbered(passages.length === 0 ? [name] : passages);
}

function numbered(passages: readonly string[]): readonly RecordChunk[] {
  return passages.map((content, index) => ({ id: `chunk-${String(index + 1).padStart(3, '0')}`, content }));
}

/** All texts and numbers in a value, and the names of its fields; into one list, for lists of lists would be copied once a level. */
function textsIn(value: Json, found: string[] = []): readonly string[] {
  if (value === null) return found;
  if (typeof value !== 'object') found.push(String(value));
  else if (Array.isArray(value)) for (const one of value) textsIn(one, found);
  else
    for (const [name, field] of Object.entries(value)) {
      const at = found.push(name);
      textsIn(field ?? null, found);
      // A field with one text stands beside it.
      if (found.length === at + 1) found.splice(at - 1, 2, `${name} ${found[at]}`);
    }
  return found;
}
