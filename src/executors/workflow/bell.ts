// What a coordinator sleeps on: many rings before it looks are one.

/** Wakes whoever waits. */
export class Bell {
  #ring: () => void = () => {};
  #rung = false;

  /** Wakes whoever waits, or will. */
  ring = (): void => {
    this.#rung = true;
    this.#ring();
  };

  /** Resolves once it has rung since the last wait. */
  async wait(): Promise<void> {
    if (!this.#rung) await new Promise<void>(resolve => (this.#ring = resolve));
    this.#rung = false;
  }
}
