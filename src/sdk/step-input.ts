// An input of a step as its handler loops over it, and what the handler is through with: by acknowledging chunk after chunk, or by
// checkpoints of its own.

import type { Json } from '../domain/json.ts';
import type { ReadBy } from '../domain/pipe.ts';
import type { HeldEnd, PipePosition, Pipes } from './pipes.ts';

/** A chunk of an input; it keeps its number for ever, and comes again only if an attempt ended before it was through with it. */
export interface InputChunk {
  readonly number: number;
  /** Names it for ever: a sink that remembers it applies no chunk twice. */
  readonly key: string;
  readonly bytes: Uint8Array;
  /** Its lines, each as the JSON it is. */
  records<Value extends Json = Json>(): readonly Value[];
}

/** How an input is read. */
export interface InputOptions {
  /**
   * `checkpoint` for a handler that gathers: chunks are kept until a `context.checkpoint` includes them, and the next attempt goes on
   * exactly behind it. Otherwise each chunk is done with once it is acknowledged.
   */
  readonly by?: ReadBy;
}

/** What other steps stream to this one. */
export interface StepInput extends AsyncIterable<InputChunk> {
  /** What an earlier attempt left by `acknowledge`. */
  saved(): Promise<Json>;
  /**
   * Deals with the chunk now, leaving a state for the next attempt; the loop does it by itself, without one. Of an input that is read by
   * checkpoint: the next checkpoint includes it, and that is the state.
   */
  acknowledge(chunk: InputChunk, state?: Json): Promise<void>;
}

/** As much may be read beyond the last checkpoint: with more the pipe may be full, and its writer wait for this very reader. */
const UNSAVED_MAX = { chunks: 1_000, bytes: 60 * 1_024 ** 2 };
const NOTHING = { chunks: 0, bytes: 0 };

/** What an input needs of its step. */
interface Step {
  begin(input: string, number: number): void;
  through(input: string, number: number): Promise<void>;
  persist<Answer>(ask: () => Promise<Answer>): Promise<Answer>;
}

/** An input of one attempt. */
export class Input implements StepInput {
  readonly #end: HeldEnd;
  readonly #pipes: Pipes;
  readonly #step: Step;
  readonly #by: ReadBy;
  #position: Promise<PipePosition> | null = null;
  #isOpen = false;
  #acknowledged = 0;
  #atHand: number | null = null;
  /** What was read since the last checkpoint. */
  #unsaved = NOTHING;

  constructor(end: HeldEnd, pipes: Pipes, step: Step, { by = 'acknowledgement' }: InputOptions) {
    this.#end = end;
    this.#pipes = pipes;
    this.#step = step;
    this.#by = by;
  }

  async saved(): Promise<Json> {
    return (await this.#open()).state;
  }

  async acknowledge({ number }: InputChunk, state?: Json): Promise<void> {
    if (number < this.#acknowledged) return;
    if (this.#by === 'checkpoint' && state !== undefined)
      throw new Error(`${this.#end.name} is read by checkpoint: leave the state with context.checkpoint`);
    await this.#step.through(this.#end.name, number);
    if (this.#by === 'acknowledgement')
      await this.#step.persist(() => this.#pipes.acknowledge(this.#end, number, state));
    this.#acknowledged = number;
    if (this.#atHand === number) this.#atHand = null;
  }

  /** The last chunk that a checkpoint made now includes; null where it is not read that way, or not yet. Throws while one is at hand. */
  included(): number | null {
    if (this.#by !== 'checkpoint' || !this.#isOpen) return null;
    if (this.#atHand !== null)
      throw new Error(
        `whether the checkpoint includes chunk ${this.#atHand} of ${this.#end.name} nobody can tell: acknowledge it before`,
      );
    this.#unsaved = NOTHING;
    return this.#acknowledged;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<InputChunk, void> {
    await this.#open();
    for (let number = this.#acknowledged + 1; ; number++) {
      this.#requireSaved();
      const bytes = await this.#next(number);
      if (bytes === null) return;
      this.#step.begin(this.#end.name, number);
      this.#atHand = number;
      this.#unsaved = { chunks: this.#unsaved.chunks + 1, bytes: this.#unsaved.bytes + bytes.length };
      const chunk = chunkOf(`${this.#end.task_id}/${this.#end.name}#${number}`, number, bytes);
      yield chunk;
      if (number > this.#acknowledged) await this.acknowledge(chunk);
    }
  }

  #requireSaved(): void {
    const { chunks, bytes } = this.#unsaved;
    if (this.#by !== 'checkpoint' || (chunks < UNSAVED_MAX.chunks && bytes <= UNSAVED_MAX.bytes)) return;
    throw new Error(
      `${this.#end.name} is read by checkpoint, and ${chunks} chunks of ${bytes} bytes came since the last one: make one at least every 1,000 chunks or 60 MiB`,
    );
  }

  async #next(number: number): Promise<Uint8Array | null> {
    for (;;) {
      const found = await this.#step.persist(() => this.#pipes.read(this.#end, number));
      if (found === 'ended') return null;
      if (found !== 'open') return found;
    }
  }

  #open(): Promise<PipePosition> {
    this.#position ??= this.#step
      .persist(() => this.#pipes.openInput(this.#end, this.#by))
      .then(position => {
        this.#acknowledged = Math.max(this.#acknowledged, position.number);
        this.#isOpen = true;
        return position;
      });
    return this.#position;
  }
}

function chunkOf(key: string, number: number, bytes: Uint8Array): InputChunk {
  return {
    ...{ key, number, bytes },
    records<Value extends Json>() {
      const lines = new TextDecoder().decode(bytes).split('\n');
      return lines.filter(line => line.trim() !== '').map(line => JSON.parse(line) as Value);
    },
  };
}
