// The embedder that is always there: no model, no download, the same vector for the same text on every machine. It knows words by
// their stems and by their parts, so it finds other forms and misspellings, but no synonyms.

import { stemsOf } from '../../domain/text/words.ts';
import type { Embedder } from '../ports/embedder.ts';

/** A power of two; the next bit of a hash is its sign. */
const DIMENSIONS = 512;
/** A word goes to several places, so that two words that meet by chance in one of them do not look alike. */
const PLACES = 3;
const PART = 4;
/** What all parts of a word weigh together, where the word weighs 1. */
const PARTS_WEIGHT = 1;
const PAIR_WEIGHT = 0.3;
const WORDS_KEPT = 50_000;

interface Feature {
  readonly dimension: number;
  readonly weight: number;
}

/** Hashes stems, parts of them and pairs of neighbours into 512 signed dimensions. */
export class LocalEmbedder implements Embedder {
  readonly name = 'local-1';
  readonly dimensions = DIMENSIONS;
  /** More than chance makes of unrelated texts, even of short ones, of which a few words meet. */
  readonly nearCosine = 0.25;
  readonly #known = new Map<string, readonly Feature[]>();

  async embed(texts: readonly string[]): Promise<readonly Float32Array[]> {
    return texts.map(text => this.#vectorOf(text));
  }

  #vectorOf(text: string): Float32Array {
    const stems = stemsOf(text);
    const counts = new Map<string, number>();
    for (const stem of stems) counts.set(stem, (counts.get(stem) ?? 0) + 1);
    const vector = new Float32Array(DIMENSIONS);
    for (const [stem, times] of counts) {
      const often = 1 + Math.log(times);
      for (const { dimension, weight } of this.#featuresOf(stem))
        vector[dimension] = (vector[dimension] ?? 0) + weight * often;
    }
    for (let at = 1; at < stems.length; at++) {
      const { dimension, weight } = hashed(`${stems[at - 1]} ${stems[at]}`, PAIR_WEIGHT);
      vector[dimension] = (vector[dimension] ?? 0) + weight;
    }
    return vector;
  }

  #featuresOf(stem: string): readonly Feature[] {
    const known = this.#known.get(stem);
    if (known !== undefined) return known;
    const framed = `<${stem}>`;
    const parts = Array.from({ length: Math.max(0, framed.length - PART + 1) }, (_, at) =>
      framed.slice(at, at + PART),
    );
    const features = [
      ...Array.from({ length: PLACES }, (_, place) => hashed(`${place}${stem}`, 1 / Math.sqrt(PLACES))),
      ...parts.map(part => hashed(`~${part}`, PARTS_WEIGHT / Math.sqrt(parts.length))),
    ];
    if (this.#known.size >= WORDS_KEPT) this.#known.clear();
    this.#known.set(stem, features);
    return features;
  }
}

/** FNV-1a, stirred so that the last characters reach every bit; one bit of it is the sign. */
function hashed(text: string, weight: number): Feature {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash ^= hash >>> 16;
  return { dimension: hash & (DIMENSIONS - 1), weight: hash & DIMENSIONS ? weight : -weight };
}
