// Many callers at once, few requests: up to a number of requests each caller has one of its own; beyond it, those who come gather and
// go together when one is back.

interface Waiting<Item, Answer> {
  readonly item: Item;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** How single items and crowds of them are sent; `together` answers each in order. */
export interface CrowdOptions<Item, Answer> {
  readonly alone: (item: Item) => Promise<Answer>;
  readonly together: (items: readonly Item[]) => Promise<readonly PromiseSettledResult<Answer>[]>;
  readonly underWayMax: number;
  readonly togetherMax: number;
}

/** Sends what concurrent callers ask. */
export class Crowd<Item, Answer> {
  readonly #options: CrowdOptions<Item, Answer>;
  readonly #waiting: Waiting<Item, Answer>[] = [];
  #underWay = 0;

  constructor(options: CrowdOptions<Item, Answer>) {
    this.#options = options;
  }

  /** The answer to this item, whichever way it went. */
  add(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    if (this.#underWay >= this.#options.underWayMax || this.#waiting.length === 0) return;
    const crowd = this.#waiting.splice(0, this.#options.togetherMax);
    this.#underWay++;
    void this.#send(crowd).finally(() => {
      this.#underWay--;
      this.#next();
    });
  }

  async #send(crowd: readonly Waiting<Item, Answer>[]): Promise<void> {
    const { alone, together } = this.#options;
    const [first] = crowd;
    try {
      if (crowd.length === 1 && first !== undefined) return first.resolve(await alone(first.item));
      const answers = await together(crowd.map(({ item }) => item));
      crowd.forEach(({ resolve, reject }, index) => {
        const answer = answers[index];
        if (answer?.status === 'fulfilled') resolve(answer.value);
        else reject(answer?.reason ?? new Error('the server answered fewer items than it was asked'));
      });
    } catch (error) {
      for (const { reject } of crowd) reject(error);
    }
  }
}
