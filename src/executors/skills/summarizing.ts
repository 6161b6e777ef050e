// Summaries without a model: the sentences that say most of what a text says, in its order and its words (`BLOG-25`).

import { sentencesOf } from '../../domain/text/passages.ts';
import { stemsOf } from '../../domain/text/words.ts';
import { textOf } from './similarity.ts';

/** A text in short. */
export interface Summary {
  readonly summary: string;
  readonly keyPoints: readonly string[];
  readonly generator: 'model' | 'template';
}

const KEY_POINTS_MAX = 5;
const SENTENCES_MAX = 2_000;

/** The summary of a text that has words; never longer than it. */
export function summarized(content: string, sentencesMax: number): Summary {
  const sentences = sentencesOf(textOf({ content })).slice(0, SENTENCES_MAX);
  const counts = new Map<string, number>();
  const stems = sentences.map(one => stemsOf(one));
  for (const some of stems) for (const stem of new Set(some)) counts.set(stem, (counts.get(stem) ?? 0) + 1);
  const ranked = sentences
    .map((sentence, index) => ({ sentence, index, weight: weightOf(stems[index] ?? [], counts, index) }))
    .sort((one, other) => other.weight - one.weight || one.index - other.index);
  const inOrder = (count: number): readonly string[] =>
    ranked
      .slice(0, count)
      .sort((one, other) => one.index - other.index)
      .map(({ sentence }) => sentence);
  const keyPoints = inOrder(Math.min(KEY_POINTS_MAX, Math.max(1, sentencesMax)));
  return { summary: inOrder(sentencesMax).join(' '), keyPoints, generator: 'template' };
}

/** What its words are worth on average; the first sentence says what it is about. */
function weightOf(stems: readonly string[], counts: ReadonlyMap<string, number>, index: number): number {
  const different = new Set(stems);
  if (different.size === 0) return 0;
  let sum = 0;
  for (const stem of different) sum += counts.get(stem) ?? 0;
  return (sum / Math.sqrt(different.size + 4)) * (index === 0 ? 1.3 : 1);
}
