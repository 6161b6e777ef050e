// Gathers what concurrent callers ask for while the batch before is under way, so that a lone caller never waits and a busy
// server does hundreds at once.

interface Waiting<Item, Answer> {
  readonly item: Item;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** Turns a verb over arrays into one over single items; `run` must answer each item in order. */
export class Batcher<Item, Answer> {
  readonly #run: (items: readonly Item[]) => Promise<readonly Answer[]>;
  readonly #batchMax: number;
  readonly #underWayMax: number;
  #waiting: Waiting<Item, Answer>[] = [];
  #underWay = 0;
  #scheduled = false;

  /**
   * At most `batchMax` items go together. With `underWayMax` above 1 further batches set out before the first is back, for verbs whose
   * far end gathers for itself: what waits there misses no turn.
   */
  constructor(
    run: (items: readonly Item[]) => Promise<readonly Answer[]>,
    { batchMax = 1_000, underWayMax = 1 }: { readonly batchMax?: number; readonly underWayMax?: number } = {},
  ) {
    this.#run = run;
    this.#batchMax = batchMax;
    this.#underWayMax = underWayMax;
  }

  /** The answer to this item, once its batch is done; rejects with the batch's error. */
  add(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#schedule();
    });
  }

  /** Callers of one turn of the event loop go together, though none waits for the next. */
  #schedule(): void {
    if (this.#scheduled || this.#underWay >= this.#underWayMax) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      while (this.#waiting.length > 0 && this.#underWay < this.#underWayMax) void this.#send();
    });
  }

  async #send(): Promise<void> {
    const batch = this.#waiting.splice(0, this.#batchMax);
    this.#underWay++;
    try {
      const answers = await this.#run(batch.map(one => one.item));
      batch.forEach((one, index) => {
        if (index < answers.length) one.resolve(answers[index] as Answer);
        else one.reject(new Error('the batch answered fewer items than it was asked'));
      });
    } catch (error) {
      for (const one of batch) one.reject(error);
    } finally {
      this.#underWay--;
      if (this.#waiting.length > 0) this.#schedule();
    }
  }
}
