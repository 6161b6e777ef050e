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

/** All texts and numbers in a value, and the names of its fields. */
function textsIn(value: Json): readonly string[] {
  if (value === null) return [];
  if (typeof value !== 'object') return [String(value)];
  if (Array.isArray(value)) return value.flatMap(textsIn);
  return Object.entries(value).flatMap(([name, field]) => {
    const texts = textsIn(field ?? null);
    return texts.length === 1 ? [`${name} ${texts[0]}`] : [name, ...texts];
  });
}
