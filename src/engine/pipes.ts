// The pipes between steps, for whoever leads the attempt at one of their ends (`SAM-229`, `SAM-230`). Everything is looked up each time, so
// that any node serves any end. What an attempt may do is settled by its end's document: taking the end over writes its fencing token
// there, every write expects the document it has read, so an attempt that was followed by another changes nothing.

import { DomainError } from '../domain/errors.ts';
import type { AgentId, FencingToken, TaskId, TenantId } from '../domain/ids.ts';
import type { Json } from '../domain/json.ts';
import {
  BATCH_BYTES_MAX,
  fillOf,
  fits,
  type PipeIn,
  type PipeOut,
  type PipePositions,
  type PipeReader,
  pipeOutId,
  pipesOf,
  type ReadBy,
  sealed,
  slowestOf,
  type TaskPipes,
  takenOver,
  writerOf,
} from '../domain/pipe.ts';
import type { Task } from '../domain/task.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Blobs } from '../store/blobs.ts';
import { PipeBells } from './pipe-bells.ts';
import type { NewChunk, Patience, PipeEnd, PipeView, ReadOutcome, WriteOutcome } from './pipe-calls.ts';
import { type Kept, PipeRecords, type PipeStore } from './pipe-records.ts';
import { letGoAlready, lost, noSuchPipe, notThere, notWritten, requireState } from './pipe-refusals.ts';
import { viewsOf } from './pipe-views.ts';
import type { InputPosition, OutputPosition } from './ports/pipes.ts';

/** Whoever knows which attempt leads which task; `find` throws `lease_lost` for any other. */
interface Leads {
  find(
    tenant: TenantId,
    task: TaskId,
    token: FencingToken,
  ): Promise<{ readonly task: Task; readonly agentId: AgentId }>;
}

interface Output extends Kept<PipeOut> {
  readonly pipe: string;
}

interface Input extends Kept<PipeIn> {
  readonly pipe: string;
  readonly reader: PipeReader;
}

/** All pipes. */
export class Pipes {
  readonly #records: PipeRecords;
  readonly #attempts: Leads;
  readonly #bells: PipeBells;

  constructor(clock: Clock, store: PipeStore, parts: { readonly blobs: Blobs; readonly attempts: Leads }) {
    this.#records = new PipeRecords(clock, store, parts.blobs);
    this.#attempts = parts.attempts;
    this.#bells = new PipeBells(clock);
  }

  /** Another node did something to some pipe. */
  heard(): void {
    this.#bells.ringAll();
  }

  /** Takes the output over; throws `lease_lost` where a later attempt has it, `not_found` where the task has none of that name. */
  async openOutput(end: PipeEnd): Promise<OutputPosition> {
    const { end: out } = await this.#output(end);
    return { written: out.written, state: out.state };
  }

  /**
   * Takes the input over; throws as `openOutput` does. By checkpoint it stands where the last checkpoint of the task says; throws `conflict`
   * where chunks behind that were let go of, by whatever way it was read before.
   */
  async openInput(end: PipeEnd, by: ReadBy = 'acknowledgement'): Promise<InputPosition> {
    const said = by === 'checkpoint' ? await this.#saidOf(end) : undefined;
    const { read, state } = await this.#advance(end, said ?? 0, before => {
      const isSame = by === wayOf(before);
      const from = said ?? (by === 'checkpoint' && isSame ? 0 : before.read);
      if (from < before.read) throw letGoAlready(end, before.read, from);
      return isSame && from === before.read ? null : { by };
    });
    return { acknowledged: read, state };
  }

  /**
   * Adds the chunk once there is room. A number that this attempt has written already is kept already; any other that is not the
   * next one throws `conflict`. The source is read only when there is room for it.
   */
  async write(end: PipeEnd, chunk: NewChunk, patience: Patience): Promise<WriteOutcome> {
    requireState(chunk.state);
    const pipe = pipeOutId(end.taskId, end.name);
    const found = await this.#bells.until(pipe, patience, () => this.#room(end, chunk));
    if (found === null) return 'full';
    if (typeof found === 'string') return found;
    const { tenant, token } = end;
    const { end: out, version } = found;
    const { sizeBytes, sha256 } = await this.#records.keepChunk(tenant, pipe, out, chunk.source);
    if ((chunk.sha256 ?? sha256) !== sha256) {
      await this.#records.dropStray(tenant, pipe, chunk.number, token);
      throw new DomainError('unprocessable', 'the bytes are not those of the declared checksum');
    }
    const next: PipeOut = {
      ...out,
      written: chunk.number,
      bytes: out.bytes + sizeBytes,
      state: chunk.state ?? null,
    };
    if (!(await this.#records.putOut(tenant, pipe, next, version))) {
      const now = await this.#records.out(tenant, pipe);
      // The same call, sent twice at once, is kept once.
      if (now?.end.token === token && now.end.written >= chunk.number) return 'kept';
      await this.#records.dropStray(tenant, pipe, chunk.number, token);
      throw lost(end);
    }
    this.#bells.ring(pipe);
    return 'kept';
  }

  /** Says that nothing more will be written to the output. */
  async endOutput(end: PipeEnd): Promise<void> {
    for (;;) {
      const { end: out, version, pipe } = await this.#output(end);
      if (out.end !== 'open') return;
      const isDone = await this.#records.putOut(end.tenant, pipe, { ...out, end: 'ended' }, version);
      if (isDone) return this.#bells.ring(pipe);
    }
  }

  /** The chunk behind the given one, waited for; null where none came in time. Throws `dependency_failed` where the writer gave up. */
  async read(end: PipeEnd, after: number, patience: Patience): Promise<ReadOutcome | null> {
    const { tenant } = end;
    const { pipe, from, reader } = await this.#source(end);
    return await this.#bells.until(pipe, patience, async () => {
      // Each time: whoever waits may have lost its lease meanwhile.
      await this.#source(end);
      const kept = await this.#records.out(tenant, pipe);
      if (kept === null || kept.end.written <= after) return endOf(kept, from);
      const isReader = kept.end.readers.some(one => one.task === reader.task && one.input === reader.input);
      if (!isReader) throw noSuchPipe(end);
      const chunk = await this.#records.chunk(tenant, pipe, kept.end, after + 1);
      const stream = await this.#records.bytes(chunk);
      return { kind: 'chunk', number: after + 1, sizeBytes: chunk.sizeBytes, stream };
    });
  }

  /**
   * Notes that chunks up to this one were dealt with, with the reader's state, and lets go of those that all readers are done with. Throws
   * `conflict` for an input that is read by checkpoint.
   */
  async acknowledge(end: PipeEnd, upTo: number, state?: Json): Promise<void> {
    requireState(state);
    await this.#advance(end, upTo, before => {
      if (wayOf(before) === 'checkpoint')
        throw new DomainError('conflict', `${end.name} is read by checkpoint: say there how far it goes`);
      const isOld = upTo < before.read || (upTo === before.read && state === undefined);
      return isOld ? null : { state: state ?? null };
    });
  }

  /**
   * Has a checkpoint kept whose state goes so far in the inputs, and only then lets go of the chunks up to there: whoever dies in between,
   * the next attempt finds what is behind its checkpoint. Throws `conflict`, keeping nothing, for an input that is not read by checkpoint
   * and for a chunk that is not there.
   */
  async checkpoint(
    lead: Omit<PipeEnd, 'name'>,
    positions: PipePositions,
    keep: () => Promise<void>,
  ): Promise<void> {
    const inputs = Object.entries(positions).map(([name, upTo]) => ({ end: { ...lead, name }, upTo }));
    for (const { end, upTo } of inputs) await this.#requirePosition(end, upTo);
    await keep();
    for (const { end, upTo } of inputs)
      await this.#advance(end, upTo, before => (upTo <= before.read ? null : {}));
  }

  /** The pipes that the task writes to, as they stand; empty for most tasks. */
  views({ tenant, id, spec }: Task): Promise<readonly PipeView[]> {
    return this.viewsOf(tenant, id, pipesOf(spec));
  }

  /** The outputs of a task that may not be there yet. */
  viewsOf(tenant: TenantId, id: TaskId, { outputs }: TaskPipes): Promise<readonly PipeView[]> {
    return viewsOf(this.#records, tenant, id, outputs);
  }

  /**
   * The step is over: nothing more comes out of its outputs, and nothing is kept for its inputs. `failed`: its readers are to know that
   * something is missing. Harmless when repeated.
   */
  async settle(tenant: TenantId, taskId: TaskId, pipes: TaskPipes, how: 'ended' | 'failed'): Promise<void> {
    for (const output of Object.keys(pipes.outputs)) await this.#seal(tenant, pipeOutId(taskId, output), how);
    for (const [input, { task, output }] of Object.entries(pipes.inputs))
      await this.#leave(tenant, pipeOutId(task, output), { task: taskId, input });
  }

  /** The output with room for the chunk; what else there is to say of it; null while there is none. */
  async #room(end: PipeEnd, { number, size }: NewChunk): Promise<Output | WriteOutcome | null> {
    const output = await this.#output(end);
    const { end: out } = output;
    if (number <= out.written && writerOf(out, number) === end.token) return 'kept';
    if (number !== out.written + 1)
      throw new DomainError('conflict', `the next chunk is ${out.written + 1}, not ${number}`, {
        details: { pipe: output.pipe, next: out.written + 1 },
      });
    return await this.#roomFor(end.tenant, output, size);
  }

  async #roomFor(tenant: TenantId, output: Output, size: number): Promise<Output | WriteOutcome | null> {
    const { end: out, pipe } = output;
    if (out.end !== 'open') return 'unwanted';
    if (out.mode === 'batch' && out.bytes + size > BATCH_BYTES_MAX)
      throw new DomainError('payload_too_large', `a whole output has at most ${BATCH_BYTES_MAX} bytes`, {
        details: { pipe, limit_bytes: BATCH_BYTES_MAX },
      });
    const ins = (await this.#records.ins(tenant, pipe, out.readers)).map(one => one.end);
    if (slowestOf(ins) === null) return 'unwanted';
    return fits(out.mode, fillOf(out, ins), size) ? output : null;
  }

  /** Whoever lost its lease a moment ago may just have written one more: then what is sealed is that. */
  async #seal(tenant: TenantId, pipe: string, how: 'ended' | 'failed'): Promise<void> {
    for (;;) {
      const kept = await this.#records.out(tenant, pipe);
      if (kept !== null && kept.end.end !== 'open') return;
      const end = sealed(kept?.end ?? null, how);
      if (await this.#records.putOut(tenant, pipe, end, kept?.version ?? null)) return this.#bells.ring(pipe);
    }
  }

  async #leave(tenant: TenantId, pipe: string, reader: PipeReader): Promise<void> {
    for (;;) {
      const [kept] = await this.#records.ins(tenant, pipe, [reader]);
      if (kept === undefined || kept.end.isGone) return;
      const next: PipeIn = { ...kept.end, token: Number.MAX_SAFE_INTEGER, isGone: true };
      if (!(await this.#records.putIn(tenant, pipe, reader, next, kept.version))) continue;
      this.#bells.ring(pipe);
      const out = await this.#records.out(tenant, pipe);
      if (out !== null) await this.#letGo(tenant, pipe, out.end, { reader, before: kept.end, next });
      return;
    }
  }

  /** Moves the reader on to the chunk with what else changes, where anything does, and lets go of what all readers are done with. */
  async #advance(
    end: PipeEnd,
    upTo: number,
    change: (before: PipeIn) => Partial<PipeIn> | null,
  ): Promise<PipeIn> {
    const { tenant } = end;
    for (;;) {
      const { pipe, reader, end: before, version } = await this.#input(end);
      const more = change(before);
      if (more === null) return before;
      const out = await this.#records.out(tenant, pipe);
      if (upTo > (out?.end.written ?? 0)) throw notWritten(pipe, upTo);
      const isOn = out !== null && upTo > before.read;
      const chunk = isOn ? await this.#records.find(tenant, pipe, out.end, upTo) : null;
      // Gone, since the reader itself has said meanwhile that it is further: then that is what it is read from.
      if (isOn && chunk === null && (await this.#input(end)).version !== version) continue;
      if (isOn && chunk === null) throw notThere(pipe, upTo);
      const bytes = chunk?.bytesUpTo ?? before.bytes;
      const next: PipeIn = { ...before, ...more, read: Math.max(before.read, upTo), bytes };
      if (!(await this.#records.putIn(tenant, pipe, reader, next, version))) continue;
      this.#bells.ring(pipe);
      if (out !== null) await this.#letGo(tenant, pipe, out.end, { reader, before, next });
      return next;
    }
  }

  /** Where the last checkpoint says that its state is in this input; undefined where it does not say. */
  async #saidOf(end: PipeEnd): Promise<number | undefined> {
    await this.#source(end);
    return own(await this.#records.positions(end.tenant, end.taskId), end.name);
  }

  async #requirePosition(end: PipeEnd, upTo: number): Promise<void> {
    const { pipe, end: kept } = await this.#input(end);
    if (wayOf(kept) !== 'checkpoint')
      throw new DomainError('conflict', `${end.name} was not opened to be read by checkpoint`);
    if (upTo < kept.read) throw letGoAlready(end, kept.read, upTo);
    const out = await this.#records.out(end.tenant, pipe);
    if (upTo > (out?.end.written ?? 0)) throw notWritten(pipe, upTo);
  }

  async #letGo(
    tenant: TenantId,
    pipe: string,
    out: PipeOut,
    change: { readonly reader: PipeReader; readonly before: PipeIn; readonly next: PipeIn },
  ): Promise<void> {
    const { reader, before, next } = change;
    const others = out.readers.filter(one => one.task !== reader.task || one.input !== reader.input);
    const ins = (await this.#records.ins(tenant, pipe, others)).map(one => one.end);
    const after = slowestOf([...ins, before])?.read ?? out.written;
    const upTo = slowestOf([...ins, next])?.read ?? out.written;
    await this.#records.dropChunks(tenant, pipe, out, { after, upTo });
  }

  /** The output, led by this attempt. */
  async #output(end: PipeEnd): Promise<Output> {
    const { tenant, token, name } = end;
    const { spec } = await this.#leading(end);
    const declared = own(pipesOf(spec).outputs, name);
    if (declared === undefined) throw noSuchPipe(end);
    const pipe = pipeOutId(end.taskId, name);
    for (;;) {
      const kept = await this.#records.out(tenant, pipe);
      if (kept !== null && kept.end.token > token) throw lost(end);
      if (kept?.end.token === token) return { ...kept, pipe };
      const taken = takenOver(kept?.end ?? null, token, declared);
      await this.#records.putOut(tenant, pipe, taken, kept?.version ?? null);
    }
  }

  /** The input, led by this attempt. */
  async #input(end: PipeEnd): Promise<Input> {
    const { tenant, token } = end;
    const { pipe, reader } = await this.#source(end);
    for (;;) {
      const [kept] = await this.#records.ins(tenant, pipe, [reader]);
      if (kept === undefined) throw new Error('the records answered no end');
      if (kept.end.token > token) throw lost(end);
      if (kept.end.token === token) return { ...kept, pipe, reader };
      await this.#records.putIn(tenant, pipe, reader, { ...kept.end, token }, kept.version);
    }
  }

  /** Where an input of this attempt's comes from. */
  async #source(end: PipeEnd) {
    const { spec } = await this.#leading(end);
    const from = own(pipesOf(spec).inputs, end.name);
    if (from === undefined) throw noSuchPipe(end);
    const reader: PipeReader = { task: end.taskId, input: end.name };
    return { pipe: pipeOutId(from.task, from.output), from: from.task as TaskId, reader };
  }

  async #leading({ tenant, taskId, token, boundTo }: PipeEnd): Promise<Task> {
    const { task, agentId } = await this.#attempts.find(tenant, taskId, token);
    if (boundTo === undefined || boundTo === agentId) return task;
    throw new DomainError('forbidden', `this credential speaks for agent ${boundTo} only`, {
      details: { rule: 'agent_binding', agent_id: agentId },
    });
  }
}

/** What there is behind the last chunk: the end, or (null) nothing yet. */
function endOf(kept: Kept<PipeOut> | null, from: TaskId): ReadOutcome | null {
  switch (kept?.end.end ?? 'open') {
    case 'open':
      return null;
    case 'ended':
      return { kind: 'end' };
    case 'failed':
      throw new DomainError('dependency_failed', `${from} ended before it had written all there was to be`, {
        details: { task_id: from },
      });
  }
}

function own<Value>(record: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

function wayOf({ by = 'acknowledgement' }: PipeIn): ReadBy {
  return by;
}
