// Answers made of passages, without a model: those that share most words with the question, rare words counting more (`NOOB-41`).

/** A passage and where it is from. */
export interface Passage {
  readonly text: string;
  /** The document, where it is of one. */
  readonly document: string | null;
  readonly chunk: number | null;
}

/** A passage that answers, with how well: 0–1. */
export interface Extract extends Passage {
  readonly score: number;
}

const EXTRACTS_MAX = 5;
const PASSAGE_MAX = 1_000;
const SCORE_LEAST = 0.1;
const STOP = new Set(
  'a al con de del el en es la las los lo o para por que se sin su un una y the of to and in is for on with an or'.split(
    ' ',
  ),
);

/** The passages that answer the question, best first. */
export function extracts(question: string, passages: readonly Passage[]): readonly Extract[] {
  const asked = [...new Set(wordsOf(question))];
  const known = passages.map(passage => new Set(wordsOf(passage.text)));
  const weights = new Map(
    asked.map(word => {
      const having = known.filter(words => words.has(word)).length;
      return [word, Math.log(1 + passages.length / (1 + having)) + 1];
    }),
  );
  const total = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
  if (total === 0) return [];
  return passages
    .map((passage, at) => {
      const found = asked.filter(word => known[at]?.has(word) === true);
      const score = found.reduce((sum, word) => sum + (weights.get(word) ?? 0), 0) / total;
      return { ...passage, score: Math.round(score * 1_000) / 1_000 };
    })
    .filter(({ score }) => score >= SCORE_LEAST)
    .toSorted((one, other) => other.score - one.score)
    .slice(0, EXTRACTS_MAX);
}

/** A text in passages: its paragraphs, long ones by sentences. */
export function passagesOf(text: string): readonly string[] {
  return text
    .split(/\n\s*\n/)
    .flatMap(paragraph => (paragraph.length <= PASSAGE_MAX ? [paragraph] : sentencesOf(paragraph)))
    .map(passage => passage.trim())
    .filter(passage => passage !== '');
}

/** About how many tokens a text is. */
export function tokensOf(text: string): number {
  return Math.ceil(text.length / 4);
}

function sentencesOf(paragraph: string): readonly string[] {
  const sentences = paragraph.split(/(?<=[.!?]) /);
  return sentences.flatMap(one =>
    one.length <= PASSAGE_MAX
      ? [one]
      : Array.from({ length: Math.ceil(one.length / PASSAGE_MAX) }, (_, at) =>
          one.slice(at * PASSAGE_MAX, (at + 1) * PASSAGE_MAX),
        ),
  );
}

function wordsOf(text: string): readonly string[] {
  const plain = text.toLowerCase().normalize('NFD').replaceAll(/\p{M}/gu, '');
  return (plain.match(/[\p{L}\p{N}]+/gu) ?? []).filter(word => word.length > 1 && !STOP.has(word));
}
