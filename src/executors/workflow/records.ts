// Records on their way through a stage: chunks are lines of JSON, one record each. Reading stops anywhere between two records and goes on
// there; nothing is held but the chunk at hand and the batch being gathered.

import { DomainError } from '../../domain/errors.ts';
import type { Json } from '../../domain/json.ts';
import type { PipeInput } from '../../engine/ports/pipes.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Window } from './stage-plan.ts';

/** Bytes of a chunk that a stage writes; one record may be larger. */
const CHUNK_BYTES = 1_024 ** 2;

/** A place between two records: so many chunks, and so many records of the next. */
export interface Place {
  readonly chunk: number;
  readonly record: number;
}

/** A batch, and the place behind it. */
export interface Batch {
  readonly records: readonly Json[];
  readonly upTo: Place;
}

/** Where records come from. */
export interface RecordSource {
  /** The next batch behind the place, full as the window says or what is left; null at the end. */
  batch(after: Place, window: Window): Promise<Batch | null>;
}

/** The records of a pipe. */
export function recordsOf(input: PipeInput, clock: Clock): RecordSource {
  let number = 0;
  let lines: readonly string[] = [];
  /** Whether the chunk behind the given one is at hand now. */
  const hasNext = async (after: number, waitMs: number): Promise<boolean> => {
    if (number === after + 1) return true;
    const chunk = await input.next(after, waitMs);
    if (chunk === 'end' || chunk === 'later') return false;
    number = chunk.number;
    lines = linesOf(chunk.bytes);
    return true;
  };
  return {
    async batch(after, { count, bytes, ms }) {
      const records: Json[] = [];
      let { chunk, record } = after;
      let size = 0;
      let endsAt = Number.POSITIVE_INFINITY;
      while (records.length < count) {
        if (!(await hasNext(chunk, Math.max(0, endsAt - clock.monotonic())))) break;
        const line = lines[record];
        if (line === undefined) {
          chunk++;
          record = 0;
          continue;
        }
        size += line.length;
        if (records.length > 0 && size > bytes) break;
        if (records.length === 0) endsAt = clock.monotonic() + ms;
        records.push(parsed(line, chunk + 1, record));
        record++;
      }
      // A chunk that is used up is done with at once.
      if (number === chunk + 1 && record > 0 && record >= lines.length) {
        chunk++;
        record = 0;
      }
      return records.length === 0 ? null : { records, upTo: { chunk, record } };
    },
  };
}

/** Records that were there from the start, as those of one chunk that never ends. */
export function recordsIn(items: readonly Json[]): RecordSource {
  return {
    async batch({ chunk, record: from }, { count, bytes }) {
      let size = 0;
      let to = from;
      for (; to < items.length && to - from < count; to++) {
        size += JSON.stringify(items[to]).length;
        if (to > from && size > bytes) break;
      }
      return to === from ? null : { records: items.slice(from, to), upTo: { chunk, record: to } };
    },
  };
}

/** Records as chunks, each a record at least. */
export function* chunksOf(records: readonly Json[]): Generator<Uint8Array> {
  let lines: string[] = [];
  let size = 0;
  for (const record of records) {
    const line = `${JSON.stringify(record)}\n`;
    if (lines.length > 0 && size + line.length > CHUNK_BYTES) {
      yield Buffer.from(lines.join(''));
      lines = [];
      size = 0;
    }
    lines.push(line);
    size += line.length;
  }
  if (lines.length > 0) yield Buffer.from(lines.join(''));
}

function linesOf(bytes: Uint8Array): readonly string[] {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString()
    .split('\n')
    .filter(line => line.trim() !== '');
}

function parsed(line: string, chunk: number, record: number): Json {
  try {
    return JSON.parse(line) as Json;
  } catch (cause) {
    const message = `record ${record + 1} of chunk ${chunk} is no JSON: a stage takes lines of JSON`;
    throw new DomainError('task_failed', message, { details: { chunk, record }, cause });
  }
}
