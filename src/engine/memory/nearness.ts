// The second look at the best passages: how near to each other the query's words stand in them and in which order, and which of them
// say the same again (`NOOB-76`).

import { stemsOf } from '../../domain/text/words.ts';

/** What nearness and order may change of a score. */
const NEARNESS_WEIGHT = 0.5;
/** Passages with so much in common are one. */
const SAME_SHARE = 0.9;

/** What is ranked anew. */
export interface Ranked {
  /** The stems of its telling words, in order. */
  readonly stems: readonly string[];
  readonly score: number;
}

/** The items in their new order with their new scores, from 0 to 1. */
export function byNearness<Item extends Ranked>(query: string, items: readonly Item[]): readonly Item[] {
  const wanted = [...new Set(stemsOf(query))];
  return items
    .map(item => {
      const nearness = nearnessOf(item.stems, wanted);
      return { ...item, score: item.score * (1 - NEARNESS_WEIGHT) + nearness * NEARNESS_WEIGHT };
    })
    .sort((one, another) => another.score - one.score);
}

/** The items without those that say what a better one said. */
export function withoutRepeats<Item extends Ranked>(items: readonly Item[]): readonly Item[] {
  const kept: { readonly item: Item; readonly stems: ReadonlySet<string> }[] = [];
  for (const item of items) {
    const stems = new Set(item.stems);
    if (!kept.some(other => isRepeat(stems, other.stems))) kept.push({ item, stems });
  }
  return kept.map(({ item }) => item);
}

/**
 * From 0 to 1: the share of the query's words that stand in the best stretch of the text, times how close together they are, times
 * how far they keep their order.
 */
export function nearnessOf(text: readonly string[], wanted: readonly string[]): number {
  if (wanted.length === 0) return 0;
  const places = new Map(wanted.map((stem, place) => [stem, place]));
  const found = text.flatMap((stem, at) => {
    const place = places.get(stem);
    return place === undefined ? [] : [{ at, place }];
  });
  let best = 0;
  for (let from = 0; from < found.length; from++) {
    const seen = new Map<number, number>();
    for (let until = from; until < found.length && seen.size < wanted.length; until++) {
      const { at, place } = found[until] as { at: number; place: number };
      if (seen.has(place)) continue;
      seen.set(place, at);
      const width = at - (found[from]?.at ?? 0) + 1;
      const share = seen.size / wanted.length;
      best = Math.max(best, share * (0.5 + (0.5 * seen.size) / width) * (0.8 + 0.2 * inOrder(seen)));
    }
  }
  return best;
}

/** The share of neighbours that stand in the query's order; 1 where there is only one. */
function inOrder(seen: ReadonlyMap<number, number>): number {
  const byText = [...seen].sort(([, one], [, another]) => one - another).map(([place]) => place);
  if (byText.length < 2) return 1;
  const kept = byText.filter((place, at) => at > 0 && place > (byText[at - 1] ?? 0)).length;
  return kept / (byText.length - 1);
}

/** Whether nearly all stems of either are the other's. */
function isRepeat(one: ReadonlySet<string>, another: ReadonlySet<string>): boolean {
  const most = Math.max(one.size, another.size);
  let missing = 0;
  for (const stem of one) {
    if (another.has(stem)) continue;
    missing += 1;
    // Most pairs part here, after a few words.
    if (missing > most * (1 - SAME_SHARE)) return false;
  }
  const both = one.size - missing;
  return both >= (one.size + another.size - both) * SAME_SHARE;
}
