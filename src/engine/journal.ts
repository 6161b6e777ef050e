// What tasks say while they run: log lines and resource samples, gathered and written in the background. They belong to no
// transaction; a crash loses at most the last moment of them, never a task.

import type { TaskSpec } from '../domain/task.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Service } from '../runtime/service.ts';
import { LOG_LEVELS, type LogLine, type Sample } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import { sealingKeyOf } from './sealing.ts';

const WRITE_AFTER_MS = 100;
const LINE_BYTES_MAX = 16 * 1_024;
const PENDING_MAX = 50_000;

/** Buffers lines and samples; beyond what it may hold it drops lines and says how many. */
export class Journal implements Service {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'record'>;
  #lines: LogLine[] = [];
  #samples: Sample[] = [];
  #dropped = 0;
  #writing: Promise<void> | null = null;
  #scheduled: Cancel | null = null;

  constructor(log: Log, clock: Clock, store: Pick<Store, 'record'>) {
    this.#log = log;
    this.#clock = clock;
    this.#store = store;
  }

  async start(): Promise<void> {}

  /** Keeps a line; over 16 KiB it is cut and marked (`SAM-63`). */
  line(line: LogLine): void {
    if (this.#lines.length >= PENDING_MAX) {
      this.#dropped++;
      return;
    }
    this.#lines.push({ ...line, message: cut(line.message) });
    this.#schedule();
  }

  /** Keeps a sample (`SAM-124`). */
  sample(sample: Sample): void {
    if (this.#samples.length < PENDING_MAX) this.#samples.push(sample);
    this.#schedule();
  }

  /** Resolves when everything kept so far is stored, however much comes meanwhile. */
  async flush(): Promise<void> {
    // What is being written does not hold what was kept since; the write after it does.
    await this.#writing;
    if (this.#writing !== null || !this.#isEmpty) await (this.#writing ?? this.#write());
  }

  async stop(): Promise<void> {
    while (this.#writing !== null || !this.#isEmpty) await this.flush();
    this.#scheduled?.();
    this.#scheduled = null;
  }

  get #isEmpty(): boolean {
    return this.#lines.length === 0 && this.#samples.length === 0;
  }

  #schedule(): void {
    this.#scheduled ??= this.#clock.after(WRITE_AFTER_MS, () => {
      this.#scheduled = null;
      if (this.#writing === null && !this.#isEmpty) void this.#write();
    });
  }

  #write(): Promise<void> {
    const [lines, samples] = [this.#lines, this.#samples];
    this.#lines = [];
    this.#samples = [];
    if (this.#dropped > 0) this.#log.warn('task log lines were dropped', { lines: this.#dropped });
    this.#dropped = 0;
    this.#writing = this.#store
      .record(lines, samples)
      .catch(error =>
        this.#log.error('task logs could not be written', { error: String(error), lines: lines.length }),
      )
      .finally(() => {
        this.#writing = null;
        if (!this.#isEmpty) this.#schedule();
      });
    return this.#writing;
  }
}

/** Whether a task's log keeps lines of that level: none where what it leaves is encrypted, for what an attempt prints is half its output (`NOOB-29`). */
export function keepsLines(
  spec: Pick<TaskSpec, 'notification' | 'logLevelMin' | 'sensitive'>,
  level: LogLine['level'],
): boolean {
  const { logLevelMin: least = 'DEBUG' } = spec;
  const isSecret = sealingKeyOf(spec) !== undefined || spec.sensitive === true;
  return !isSecret && LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(least);
}

function cut(message: string): string {
  if (message.length * 3 <= LINE_BYTES_MAX || Buffer.byteLength(message) <= LINE_BYTES_MAX) return message;
  const mark = ' …[cut]';
  const bytes = Buffer.from(message).subarray(0, LINE_BYTES_MAX - Buffer.byteLength(mark));
  return bytes.toString('utf8').replace(/\uFFFD$/, '') + mark;
}
