// How near texts are to one another, by the words they share; rare words tell more. For hundreds of contents; a memory with an index takes
// its place where there are more.

import { stemsOf } from '../../domain/text/words.ts';
import type { Content } from '../../engine/contents.ts';

/** A content and how near it is, 0–1. */
export interface Near {
  readonly content: Content;
  readonly score: number;
}

type Weights = ReadonlyMap<string, number>;

const CHARACTERS_MAX = 50_000;
const SCORE_MIN = 0.05;

/** Contents near a text, nearest first; none that share nothing with it. */
export function nearest(text: string, contents: readonly Content[], limit: number): readonly Near[] {
  const bags = contents.map(({ content }) => countsOf(`${titleOf(content)} ${textOf(content)}`));
  const spread = new Map<string, number>();
  for (const bag of bags) for (const stem of bag.keys()) spread.set(stem, (spread.get(stem) ?? 0) + 1);
  const weigh = (bag: Weights): Weights =>
    new Map(
      [...bag].map(([stem, n]) => [
        stem,
        n * Math.log(1 + (bags.length + 1) / (1 + (spread.get(stem) ?? 0))),
      ]),
    );
  const wanted = weigh(countsOf(text));
  return contents
    .map((content, index) => ({ content, score: cosine(wanted, weigh(bags[index] ?? new Map())) }))
    .filter(({ score }) => score >= SCORE_MIN)
    .sort(
      (one, other) => other.score - one.score || one.content.contentId.localeCompare(other.content.contentId),
    )
    .slice(0, limit);
}

/** What a content says, its headings and marks taken out. */
export function textOf({ content }: { readonly content?: unknown }): string {
  if (typeof content !== 'string') return '';
  return content
    .replace(/^#{1,6}\s+.*$/gm, '')
    .replace(/<[^<>]{1,500}>/g, ' ')
    .replace(/!?\[([^[\]]{0,500})\]\([^()\s]{0,2000}\)/g, '$1')
    .replace(/[*_`]+/g, '')
    .trim();
}

/** Its title, empty where it has none. */
export function titleOf({ title }: { readonly title?: unknown }): string {
  return typeof title === 'string' ? title : '';
}

function countsOf(text: string): Weights {
  const counts = new Map<string, number>();
  for (const stem of stemsOf(text.slice(0, CHARACTERS_MAX))) counts.set(stem, (counts.get(stem) ?? 0) + 1);
  return new Map([...counts].map(([stem, n]) => [stem, 1 + Math.log(n)]));
}

function cosine(one: Weights, other: Weights): number {
  let dot = 0;
  for (const [stem, weight] of one) dot += weight * (other.get(stem) ?? 0);
  const size = Math.sqrt(square(one) * square(other));
  return size === 0 ? 0 : Math.min(1, Math.round((dot / size) * 1_000) / 1_000);
}

function square(bag: Weights): number {
  let sum = 0;
  for (const weight of bag.values()) sum += weight * weight;
  return sum;
}
