// The pipes of a step as its handler sees them: an input to loop over, an output to write records to. What is written is kept with the
// number of the input's chunk it came of, so that an attempt that begins anew, and does the same again, writes nothing twice.

import type { Json, JsonObject } from '../domain/json.ts';
import { type Clock, pause } from './clock.ts';
import { BatutaError } from './errors.ts';
import type { HeldEnd, Pipes } from './pipes.ts';
import { Input, type InputOptions, type StepInput } from './step-input.ts';
import { backoffMs } from './transport.ts';

/** How an output gathers records. */
export interface OutputOptions {
  /** Bytes of records in one chunk (262,144); at most 4 MiB. */
  readonly chunkBytes?: number;
}

/** What this step streams to others. */
export interface StepOutput {
  /**
   * Adds a record, waiting while the pipe is full; false once nobody reads any more. An attempt after another leaves out what is
   * there already, as long as the handler writes the same again.
   */
  write(record: Json): Promise<boolean>;
  /** Adds a chunk of bytes that are not records; as `write`, and at once. */
  writeBytes(bytes: Uint8Array): Promise<boolean>;
  /** Sends what was gathered. */
  flush(): Promise<void>;
  /** How many records and chunks were written by `write` and `writeBytes`, earlier attempts counted; whoever asks goes on from there itself, and nothing is left out. */
  written(): Promise<number>;
  /** Sends what was gathered and says that nothing more will come, while the step goes on. */
  end(): Promise<void>;
}

const CHUNK_BYTES = 262_144;
const LINGER_MS = 500;
const PATIENCE = { firstDelayMs: 250, delayMaxMs: 5_000 };

/** The pipes of one attempt. */
export class StepPipes {
  readonly #pipes: Pipes;
  readonly #lease: Omit<HeldEnd, 'name'>;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  /** Where the checkpoint that this attempt begins with left the inputs. */
  readonly #saved: Readonly<Record<string, number>>;
  readonly #inputs = new Map<string, Input>();
  readonly #outputs = new Map<string, Output>();
  /** The chunk that is being dealt with. */
  #at: { readonly input: string; readonly number: number } | null = null;

  constructor(
    pipes: Pipes,
    lease: Omit<HeldEnd, 'name'>,
    clock: Clock,
    signal: AbortSignal,
    saved: Readonly<Record<string, number>>,
  ) {
    this.#pipes = pipes;
    this.#lease = lease;
    this.#clock = clock;
    this.#signal = signal;
    this.#saved = saved;
  }

  input(name: string, options: InputOptions = {}): StepInput {
    const known = this.#inputs.get(name) ?? new Input(this.#endOf(name), this.#pipes, this, options);
    this.#inputs.set(name, known);
    return known;
  }

  output(name: string, options: OutputOptions = {}): StepOutput {
    const known =
      this.#outputs.get(name) ?? new Output(this.#endOf(name), this.#pipes, this, this.#clock, options);
    this.#outputs.set(name, known);
    return known;
  }

  /** Sends all that was gathered. */
  async flush(): Promise<void> {
    for (const output of this.#outputs.values()) await output.flush();
  }

  /**
   * How far a checkpoint made now goes in the inputs that are read by checkpoint; undefined where none are. Throws where a chunk is at hand,
   * for nobody could tell whether the state includes it.
   */
  positions(): Readonly<Record<string, number>> | undefined {
    const read = [...this.#inputs].flatMap(([name, input]) => {
      const position = input.included();
      return position === null ? [] : [[name, position] as const];
    });
    const positions = { ...this.#saved, ...Object.fromEntries(read) };
    return Object.keys(positions).length === 0 ? undefined : positions;
  }

  get at(): { readonly input: string; readonly number: number } | null {
    return this.#at;
  }

  begin(input: string, number: number): void {
    this.#at = { input, number };
  }

  /** Before a chunk is acknowledged, what came of it is written. */
  async through(input: string, number: number): Promise<void> {
    for (const output of this.#outputs.values()) await output.through(input, number);
    if (this.#at?.input === input && this.#at.number === number) this.#at = null;
  }

  /** Asks again while the server cannot be reached, for as long as the lease lasts. */
  async persist<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    for (let failures = 1; ; failures++) {
      this.#signal.throwIfAborted();
      try {
        return await ask();
      } catch (error) {
        this.#signal.throwIfAborted();
        if (!(error instanceof BatutaError) || !error.retryable) throw error;
        await pause(this.#clock, error.retryAfterMs ?? backoffMs(failures, PATIENCE), this.#signal);
      }
    }
  }

  #endOf(name: string): HeldEnd {
    return { ...this.#lease, name, signal: this.#signal };
  }
}

/** What is kept with each chunk of an output. */
interface Progress {
  /** All that came of the input's chunks up to this number was written, */
  readonly input: string | null;
  readonly number: number;
  /** and so many records beyond. */
  readonly since: number;
  readonly written: number;
}

class Output implements StepOutput {
  readonly #end: HeldEnd;
  readonly #pipes: Pipes;
  readonly #step: StepPipes;
  readonly #clock: Clock;
  readonly #chunkBytes: number;
  #opened: Promise<void> | null = null;
  #number = 0;
  /** As of the last record taken, sent or not. */
  #progress: Progress = { input: null, number: 0, since: 0, written: 0 };
  /** What an earlier attempt wrote; null once this one is past it. */
  #before: Progress | null = null;
  /** Records of the chunk being dealt with that were left out. */
  #left = 0;
  #leftAt = 0;
  #gathered: Uint8Array[] = [];
  #bytes = 0;
  #since = 0;
  #isWanted = true;

  constructor(end: HeldEnd, pipes: Pipes, step: StepPipes, clock: Clock, options: OutputOptions) {
    this.#end = end;
    this.#pipes = pipes;
    this.#step = step;
    this.#clock = clock;
    this.#chunkBytes = options.chunkBytes ?? CHUNK_BYTES;
  }

  async write(record: Json): Promise<boolean> {
    await this.#open();
    if (!this.#isWanted || this.#isThere()) return this.#isWanted;
    const line = new TextEncoder().encode(`${JSON.stringify(record)}\n`);
    if (this.#bytes > 0 && this.#bytes + line.length > this.#chunkBytes) await this.flush();
    if (this.#bytes === 0) this.#since = this.#clock.monotonic();
    this.#gathered.push(line);
    this.#bytes += line.length;
    this.#count();
    if (this.#bytes >= this.#chunkBytes || this.#clock.monotonic() - this.#since >= LINGER_MS)
      await this.flush();
    return this.#isWanted;
  }

  async writeBytes(bytes: Uint8Array): Promise<boolean> {
    await this.#open();
    if (!this.#isWanted || this.#isThere()) return this.#isWanted;
    await this.flush();
    this.#count();
    await this.#send(bytes);
    return this.#isWanted;
  }

  async flush(): Promise<void> {
    if (this.#bytes === 0) return;
    const bytes = joined(this.#gathered, this.#bytes);
    this.#gathered = [];
    this.#bytes = 0;
    await this.#send(bytes);
  }

  async written(): Promise<number> {
    await this.#open();
    this.#before = null;
    return this.#progress.written;
  }

  async end(): Promise<void> {
    await this.#open();
    await this.flush();
    await this.#step.persist(() => this.#pipes.end(this.#end));
  }

  /** All that comes of the chunk was written to this output. */
  async through(input: string, number: number): Promise<void> {
    if (this.#opened === null) return;
    await this.#opened;
    if (this.#before !== null && this.#before.input === input && this.#before.number >= number) return;
    this.#progress = { ...this.#progress, input, number, since: 0 };
    await this.flush();
  }

  /** Whether an earlier attempt wrote this record: it came of a chunk that is through, or is one of the first of the next. */
  #isThere(): boolean {
    const before = this.#before;
    if (before === null) return false;
    const number = this.#step.at?.number ?? before.number + 1;
    if (before.input !== null && number <= before.number) return true;
    if (this.#leftAt !== number) this.#left = 0;
    this.#leftAt = number;
    if (number === before.number + 1 && this.#left < before.since) {
      this.#left++;
      return true;
    }
    this.#before = null;
    return false;
  }

  #count(): void {
    const { at } = this.#step;
    if (at !== null && this.#progress.number !== at.number - 1)
      this.#progress = { ...this.#progress, input: at.input, number: at.number - 1, since: 0 };
    const { since, written } = this.#progress;
    this.#progress = { ...this.#progress, since: since + 1, written: written + 1 };
  }

  async #send(bytes: Uint8Array): Promise<void> {
    const chunk = { number: this.#number + 1, bytes, state: { ...this.#progress } as unknown as JsonObject };
    for (;;) {
      const outcome = await this.#step.persist(() => this.#pipes.write(this.#end, chunk));
      if (outcome === 'waiting_downstream') continue;
      if (outcome === 'unwanted') this.#isWanted = false;
      else this.#number++;
      return;
    }
  }

  #open(): Promise<void> {
    this.#opened ??= this.#step
      .persist(() => this.#pipes.openOutput(this.#end))
      .then(({ number, state }) => {
        this.#number = number;
        if (number === 0 || state === null) return;
        this.#before = state as unknown as Progress;
        this.#progress = this.#before;
      });
    return this.#opened;
  }
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
