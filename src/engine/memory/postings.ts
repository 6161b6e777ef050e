// Which entries have which words, and how well their words answer a query (BM25 over the entries that live).

const TIMES_MAX = 255;
const FEW = 8;
const SATURATION = 1.2;
const LENGTH_WEIGHT = 0.75;
/** What a word costs beside its postings, about. */
const TERM_BYTES = 170;

/** One word's entries in order, each with how often it has the word: entry times 256 plus that. */
interface Postings {
  many: number;
  packed: Uint32Array;
  /** How many of its entries lived after so many were dropped. */
  living: number;
  asOf: number;
}

/** The words of entries that are numbered from 0 as they come, 16 million at most. */
export class WordIndex {
  readonly #terms = new Map<string, Postings>();
  readonly #lengths: number[] = [];
  #length = 0;
  #living = 0;
  #dropped = 0;
  #slots = 0;

  /** Bytes it takes, about. */
  get bytes(): number {
    return this.#terms.size * TERM_BYTES + this.#slots * 4 + this.#lengths.length * 8;
  }

  /** Adds the next entry. */
  add(stems: readonly string[]): void {
    const entry = this.#lengths.length;
    const times = new Map<string, number>();
    for (const stem of stems) times.set(stem, (times.get(stem) ?? 0) + 1);
    for (const [stem, many] of times) this.#post(stem, entry * 256 + Math.min(TIMES_MAX, many));
    this.#lengths.push(stems.length);
    this.#length += stems.length;
    this.#living += 1;
  }

  /** Counts an entry no more; its postings stay until the index is made anew. */
  drop(entry: number): void {
    this.#length -= this.#lengths[entry] ?? 0;
    this.#living -= 1;
    this.#dropped += 1;
  }

  /** How much a word tells apart the entries that live. */
  rarity(stem: string, lives: (entry: number) => boolean): number {
    const postings = this.#terms.get(stem);
    const having = postings === undefined ? 0 : this.#livingOf(postings, lives);
    return Math.log(1 + (this.#living - having + 0.5) / (having + 0.5));
  }

  /** How well each entry answers the words, from 0 to 1: 1 would be to have all of them over and over in few words. */
  scores(stems: readonly string[], lives: (entry: number) => boolean): Float64Array {
    const scores = new Float64Array(this.#lengths.length);
    const average = this.#living === 0 ? 1 : Math.max(1, this.#length / this.#living);
    let most = 0;
    for (const stem of new Set(stems)) {
      const rarity = this.rarity(stem, lives);
      most += rarity * (SATURATION + 1);
      const postings = this.#terms.get(stem);
      for (let at = 0; postings !== undefined && at < postings.many; at++) {
        const packed = postings.packed[at] as number;
        const entry = packed >>> 8;
        const times = packed & TIMES_MAX;
        const length = (this.#lengths[entry] as number) / average;
        const damped = times + SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * length);
        scores[entry] = (scores[entry] as number) + (rarity * times * (SATURATION + 1)) / damped;
      }
    }
    if (most > 0)
      for (let entry = 0; entry < scores.length; entry++) scores[entry] = (scores[entry] as number) / most;
    return scores;
  }

  #livingOf(postings: Postings, lives: (entry: number) => boolean): number {
    if (postings.asOf === this.#dropped) return postings.living;
    let living = 0;
    for (let at = 0; at < postings.many; at++) if (lives((postings.packed[at] as number) >>> 8)) living += 1;
    postings.living = living;
    postings.asOf = this.#dropped;
    return living;
  }

  #post(stem: string, packed: number): void {
    let postings = this.#terms.get(stem);
    if (postings === undefined) {
      postings = { many: 0, packed: new Uint32Array(1), living: 0, asOf: this.#dropped };
      this.#terms.set(stem, postings);
      this.#slots += 1;
    }
    const { length } = postings.packed;
    if (postings.many === length) {
      const larger = new Uint32Array(length < FEW ? length * 2 : Math.ceil(length * 1.5));
      larger.set(postings.packed);
      this.#slots += larger.length - length;
      postings.packed = larger;
    }
    postings.packed[postings.many] = packed;
    postings.many += 1;
    if (postings.asOf === this.#dropped) postings.living += 1;
  }
}
