// Memory that does not grow under a flood: when it is full, what was not used for longest gives way.

/**
 * A map of at most `sizeMax` entries, kept in two halves: a full young half becomes the old one, and what is not used until the next
 * time is dropped with it. (Deleting a Map's first entry one at a time would scan past all deleted before.)
 */
export class BoundedMap<Value> {
  readonly #halfMax: number;
  #young = new Map<string, Value>();
  #old = new Map<string, Value>();

  constructor(sizeMax: number) {
    this.#halfMax = Math.max(1, Math.floor(sizeMax / 2));
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(name: string): Value | undefined {
    const young = this.#young.get(name);
    if (young !== undefined) return young;
    const old = this.#old.get(name);
    if (old !== undefined) this.set(name, old);
    return old;
  }

  set(name: string, value: Value): void {
    this.#old.delete(name);
    if (this.#young.size >= this.#halfMax && !this.#young.has(name)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(name, value);
  }

  delete(name: string): void {
    this.#young.delete(name);
    this.#old.delete(name);
  }
}
