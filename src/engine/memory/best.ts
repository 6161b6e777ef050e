// The best few of many, without sorting them all.

/** Keeps the best `limit` of what it is offered; `before` says which of two comes first, and never calls two equal. */
export class Best<Item> {
  readonly #limit: number;
  readonly #before: (one: Item, another: Item) => boolean;
  /** A heap: the worst one kept is the first. */
  readonly #heap: Item[] = [];

  constructor(limit: number, before: (one: Item, another: Item) => boolean) {
    this.#limit = limit;
    this.#before = before;
  }

  /** Takes an item in if it is among the best so far. */
  offer(item: Item): void {
    if (this.#limit <= 0) return;
    if (this.#heap.length < this.#limit) {
      this.#heap.push(item);
      this.#up(this.#heap.length - 1);
    } else if (this.#before(item, this.#heap[0] as Item)) {
      this.#heap[0] = item;
      this.#down(0);
    }
  }

  /** The best, in order. */
  get list(): readonly Item[] {
    return this.#heap.toSorted((one, another) => (this.#before(one, another) ? -1 : 1));
  }

  #up(from: number): void {
    for (let at = from; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!this.#isWorse(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #down(from: number): void {
    for (let at = from; ; ) {
      let worst = at;
      for (const child of [2 * at + 1, 2 * at + 2])
        if (child < this.#heap.length && this.#isWorse(child, worst)) worst = child;
      if (worst === at) return;
      this.#swap(at, worst);
      at = worst;
    }
  }

  #isWorse(at: number, than: number): boolean {
    return this.#before(this.#heap[than] as Item, this.#heap[at] as Item);
  }

  #swap(at: number, other: number): void {
    const item = this.#heap[at] as Item;
    this.#heap[at] = this.#heap[other] as Item;
    this.#heap[other] = item;
  }
}
