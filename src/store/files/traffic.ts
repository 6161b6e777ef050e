// Who stores and who removes which bytes at the moment. Identical bytes are stored once, so whoever finds that nobody refers to some
// must not take them from somebody who is just storing them anew.

/** Keeps storing and removing the same bytes apart, in this process. */
export class Traffic {
  /** How many are storing each. */
  readonly #stored = new Map<string, number>();
  readonly #removals = new Map<string, Promise<void>>();
  /** Of each removal being decided on, what was stored since. */
  readonly #since = new Set<Set<string>>();

  /** Runs `store` once no removal of these bytes is under way; none begins until it is over. */
  async storing(sha256: string, store: () => Promise<void>): Promise<void> {
    this.#stored.set(sha256, (this.#stored.get(sha256) ?? 0) + 1);
    try {
      await this.#removals.get(sha256);
      await store();
    } finally {
      const others = (this.#stored.get(sha256) ?? 1) - 1;
      if (others === 0) this.#stored.delete(sha256);
      else this.#stored.set(sha256, others);
      // What was written down of them is newer than what any decision under way may have seen.
      for (const since of this.#since) since.add(sha256);
    }
  }

  /** Removes what is decided on, but for what is being or was stored meanwhile; answers the decision. */
  async removing<Decision extends { readonly freed: readonly string[] }>(
    decide: () => Promise<Decision>,
    remove: (sha256: string) => Promise<void>,
  ): Promise<Decision> {
    const since = new Set<string>();
    this.#since.add(since);
    try {
      const decision = await decide();
      await Promise.all(decision.freed.map(sha256 => this.#removeOne(sha256, since, remove)));
      return decision;
    } finally {
      this.#since.delete(since);
    }
  }

  async #removeOne(
    sha256: string,
    since: ReadonlySet<string>,
    remove: (sha256: string) => Promise<void>,
  ): Promise<void> {
    if (since.has(sha256) || this.#stored.has(sha256)) return;
    const other = this.#removals.get(sha256);
    if (other !== undefined) return other;
    const removal = remove(sha256);
    const settled = removal.catch(() => undefined);
    this.#removals.set(sha256, settled);
    try {
      await removal;
    } finally {
      this.#removals.delete(sha256);
    }
  }
}
