// Vectors as they are kept and compared: eight bits a dimension, whole numbers, so that every machine comes to the same cosine.

/** Entries side by side: their numbers of one dimension lie together, because a query has few dimensions that are not zero. */
const BLOCK = 512;

/** A vector scaled to whole numbers from -127 to 127; only its direction is kept. */
export function quantized(vector: Float32Array): Int8Array {
  let most = 0;
  for (const value of vector) most = Math.max(most, Math.abs(value));
  const whole = new Int8Array(vector.length);
  for (let at = 0; most > 0 && at < whole.length; at++)
    whole[at] = Math.round(((vector[at] as number) / most) * 127);
  return whole;
}

/** A vector as text, for the store. */
export function encodeVector(vector: Float32Array): string {
  return Buffer.from(quantized(vector).buffer).toString('base64');
}

/** A vector from its text; null where it is not one of so many dimensions. */
export function decodeVector(text: string, dimensions: number): Int8Array | null {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === dimensions ? new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length) : null;
}

/** The vectors of entries that are numbered from 0 as they come. */
export class Vectors {
  readonly #dimensions: number;
  readonly #blocks: Int8Array[] = [];
  /** One over each entry's length; 0 for one without a vector. */
  #scales = new Float64Array(BLOCK);
  #count = 0;

  constructor(dimensions: number) {
    this.#dimensions = dimensions;
  }

  /** Bytes they take. */
  get bytes(): number {
    return this.#blocks.length * BLOCK * this.#dimensions + this.#scales.byteLength;
  }

  /** Adds the next entry's vector; null for one that has none. */
  add(vector: Int8Array | null): void {
    const place = this.#count % BLOCK;
    if (place === 0) this.#blocks.push(new Int8Array(BLOCK * this.#dimensions));
    if (this.#count === this.#scales.length) this.#scales = grown(this.#scales);
    const block = this.#blocks.at(-1);
    if (vector !== null && block !== undefined) {
      for (let dimension = 0; dimension < this.#dimensions; dimension++)
        block[dimension * BLOCK + place] = vector[dimension] ?? 0;
      this.#scales[this.#count] = scaleOf(vector);
    }
    this.#count += 1;
  }

  /** The cosine between a query and each entry. */
  cosines(query: Int8Array): Float64Array {
    const cosines = new Float64Array(this.#count);
    const scale = scaleOf(query);
    // As many as a multiple of four, for four are added at once; the last ones may weigh nothing.
    const used = [...query.keys()].filter(dimension => query[dimension] !== 0);
    while (used.length % 4 !== 0) used.push(0);
    const weights = used.map((dimension, at) => (at > 0 && dimension === 0 ? 0 : (query[dimension] ?? 0)));
    // Whole numbers below 2^24, which a float of 32 bits holds exactly.
    const sums = new Float32Array(BLOCK);
    for (const [number, block] of this.#blocks.entries()) {
      sums.fill(0);
      for (let at = 0; at < used.length; at += 4) addFour(sums, block, used, weights, at);
      const from = number * BLOCK;
      const many = Math.min(BLOCK, this.#count - from);
      for (let at = 0; at < many; at++)
        cosines[from + at] = (sums[at] ?? 0) * scale * (this.#scales[from + at] ?? 0);
    }
    return cosines;
  }
}

/** The same numbers in an array of twice the length. */
export function grown(numbers: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(numbers.length * 2);
  larger.set(numbers);
  return larger;
}

/** The innermost loop of every search. */
function addFour(
  sums: Float32Array,
  block: Int8Array,
  dimensions: readonly number[],
  weights: readonly number[],
  at: number,
): void {
  const [a, b, c, d] = fourOf(dimensions, at);
  const [u, v, w, x] = fourOf(weights, at);
  for (let i = 0; i < BLOCK; i++) {
    sums[i] =
      (sums[i] as number) +
      u * (block[a * BLOCK + i] as number) +
      v * (block[b * BLOCK + i] as number) +
      w * (block[c * BLOCK + i] as number) +
      x * (block[d * BLOCK + i] as number);
  }
}

function fourOf(numbers: readonly number[], at: number): readonly [number, number, number, number] {
  const [a = 0, b = 0, c = 0, d = 0] = numbers.slice(at, at + 4);
  return [a, b, c, d];
}

function scaleOf(vector: Int8Array): number {
  const square = vector.reduce((sum, value) => sum + value * value, 0);
  return square === 0 ? 0 : 1 / Math.sqrt(square);
}
