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
  #waiting: Waiting<Item, Answer>[] = [];
  #busy = false;

  constructor(run: (items: readonly Item[]) => Promise<readonly Answer[]>, batchMax = 1_000) {
    this.#run = run;
    this.#batchMax = batchMax;
  }

  /** The answer to this item, once its batch is done; rejects with the batch's error. */
  add(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (!this.#busy) {
        this.#busy = true;
        queueMicrotask(() => this.#drain());
      }
    });
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#batchMax);
      try {
        const answers = await this.#run(batch.map(one => one.item));
        batch.forEach((one, index) => {
          if (index < answers.length) one.resolve(answers[index] as Answer);
          else one.reject(new Error('the batch answered fewer items than it was asked'));
        });
      } catch (error) {
        for (const one of batch) one.reject(error);
      }
    }
    this.#busy = false;
  }
}
