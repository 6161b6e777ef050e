// One JavaScript program in QuickJS, from source to result: which form its source has, what it may do, and when it is over.
//
// The result of a program is, whichever form parses first: the value of the last expression (top-level await allowed); what
// `return` gives, the source being the body of an async function; the default export of an ES module. Promises are awaited.

import type {
  QuickJSContext,
  QuickJSHandle,
  QuickJSRuntime,
  QuickJSWASMModule,
} from 'quickjs-emscripten-core';
import { systemClock } from '../../../runtime/clock.ts';
import { brokenFailure, DEADLINE, Failed, isAfter, thrownFailure, within } from './failure.ts';
import type { Frame, FromHost, Pipe, WasmAsk, WasmDone, WasmFailure, WasmJob, WasmReply } from './frames.ts';
import { guestAsking, guestConsole, guestTools, guestWaiting } from './guest.ts';
import { isPlainPath } from './names.ts';

const STACK_BYTES_MAX = 256 << 10;
/** The longest text a program may hand out at once, and the longest result. */
const TEXT_LENGTH_MAX = 32 << 20;
const CHECKPOINT_LENGTH_MAX = 1 << 20;
const JOBS_AT_ONCE = 1_000;
const ASKS_AT_ONCE_MAX = 1_000;
const WARNING_SHARE = 0.8;
const PRINT_LENGTH_MAX = 32 << 10;
const PRINT_DELAY_MS = 100;
/** QuickJS's flag for scripts with top-level await, missing in the library's options; its answer is a promise of `{value}`. */
const EVAL_ASYNC = 1 << 7;
const EVAL_MODULE = 1;

const FORMS = [
  { flags: EVAL_ASYNC, before: '', after: '', result: 'value' },
  { flags: EVAL_ASYNC, before: '(async () => {', after: '\n})()', result: 'value' },
  { flags: EVAL_MODULE, before: '', after: '', result: 'default' },
] as const;

const GUEST = `(door, job) => {
  const asking = (${guestAsking})(door);
  Object.assign(globalThis, (${guestTools})(door), (${guestWaiting})(door, asking), JSON.parse(job), { console: (${guestConsole})(door) });
  return asking.settle;
}`;

type Question = WasmAsk extends infer Ask ? (Ask extends WasmAsk ? Omit<Ask, 'kind' | 'id'> : never) : never;

/** Ids never repeat in a process, so that an answer can only reach the program that asked. */
let lastAsk = 0;

/** A program about to run; the module's other programs must be over. */
export class Program {
  readonly #module: QuickJSWASMModule;
  readonly #job: WasmJob;
  readonly #pipe: Pipe;
  readonly #runtime: QuickJSRuntime;
  readonly #context: QuickJSContext;
  readonly #cpuBefore = process.cpuUsage();
  readonly #deadline: number;
  readonly #unanswered = new Set<number>();
  readonly #early: Frame<WasmReply>[] = [];
  #isWarned = false;
  #printed: { readonly stream: 'stdout' | 'stderr'; readonly text: string } = { stream: 'stdout', text: '' };
  #flushedAt = 0;

  constructor(module: QuickJSWASMModule, job: WasmJob, pipe: Pipe) {
    this.#module = module;
    this.#job = job;
    this.#pipe = pipe;
    this.#deadline = systemClock.monotonic() + job.runMs;
    this.#runtime = module.newRuntime({
      memoryLimitBytes: job.memoryMb * 2 ** 20,
      maxStackSizeBytes: STACK_BYTES_MAX,
      interruptHandler: () => this.#isOver(),
    });
    this.#runtime.setModuleLoader(
      name =>
        Object.hasOwn(job.files, name)
          ? (job.files[name] ?? '')
          : { error: new Error(`the task has no file ${name}`) },
      (base, name) => (name.startsWith('.') ? joined(base, name) : name),
    );
    this.#context = this.#runtime.newContext();
  }

  /** Runs it to its end; never throws. After a failure the process is not to be used again. */
  run(): WasmDone {
    let end: Pick<WasmDone, 'failure' | 'value'>;
    try {
      end = { value: JSON.parse(this.#result()) };
    } catch (error) {
      end = { failure: error instanceof Failed ? error.failure : brokenFailure(error) };
      if (end.failure?.reason === 'memory') this.#warn();
    }
    this.#flush();
    const cpu = process.cpuUsage(this.#cpuBefore);
    const memoryMb = process.memoryUsage.rss() / 2 ** 20;
    return { kind: 'done', ...end, memoryMb, cpuMs: (cpu.user + cpu.system) / 1_000 };
  }

  /** Frees its memory after a success; a throw means the module is broken. */
  dispose(): void {
    this.#context.dispose();
    this.#runtime.dispose();
  }

  /** Called by QuickJS every few thousand steps. */
  #isOver(): boolean {
    const now = systemClock.monotonic();
    if (this.#usedMb() >= WARNING_SHARE * this.#job.memoryMb) this.#warn();
    if (now - this.#flushedAt > PRINT_DELAY_MS) this.#flush();
    return now > this.#deadline;
  }

  #usedMb(): number {
    return this.#module.getWasmMemory().buffer.byteLength / 2 ** 20;
  }

  #warn(): void {
    if (this.#isWarned) return;
    this.#isWarned = true;
    this.#send({ kind: 'memory', usedMb: this.#usedMb() });
  }

  #send(head: FromHost, tail?: Uint8Array): void {
    this.#flush();
    this.#pipe.send(head, tail);
  }

  /** What is printed goes out in larger pieces: always before anything else does, and soon. */
  #print(stream: 'stdout' | 'stderr', text: string): void {
    if (this.#printed.stream !== stream || this.#printed.text.length > PRINT_LENGTH_MAX) this.#flush();
    this.#printed = { stream, text: this.#printed.text + text };
  }

  #flush(): void {
    const { stream, text } = this.#printed;
    this.#flushedAt = systemClock.monotonic();
    if (text === '') return;
    this.#printed = { stream, text: '' };
    this.#pipe.send({ kind: 'print', stream }, Buffer.from(text));
  }

  #result(): string {
    const { global } = this.#context;
    using promises = this.#context.getProp(global, 'Promise');
    using resolve = this.#context.getProp(promises, 'resolve');
    using json = this.#context.getProp(global, 'JSON');
    using stringify = this.#context.getProp(json, 'stringify');
    using settle = this.#furnish();
    const evaluated = this.#evaluate();
    using promise = evaluated.promise;
    using completion = this.#settled(promise, settle);
    using value = this.#context.getProp(completion, evaluated.result);
    using promised = this.#called(resolve, promises, [value]);
    using final = this.#settled(promised, settle);
    const text = this.#context.callFunction(stringify, json, final);
    if (text.error !== undefined)
      throw new Failed({ ...this.#failure(text.error), reason: 'unserializable' });
    using written = text.value;
    return this.#context.typeof(written) === 'string' ? this.#text(written) : 'null';
  }

  /** Gives the program its surroundings; the answer is the function that settles its questions. */
  #furnish(): QuickJSHandle {
    const { args, stdin, inputs, env, restored } = this.#job;
    using door = this.#context.newFunction('door', (operation, text, bytes) =>
      this.#door(this.#context.getString(operation), text, bytes),
    );
    using furnish = this.#unwrapped(this.#context.evalCode(GUEST, '<batuta>'));
    using job = this.#context.newString(JSON.stringify({ args, stdin, inputs, env, restored }));
    return this.#called(furnish, this.#context.undefined, [door, job]);
  }

  #evaluate(): { readonly promise: QuickJSHandle; readonly result: string } {
    const source = this.#job.files[this.#job.entrypoint] ?? '';
    let furthest: Failed | null = null;
    for (const form of this.#job.isModule ? FORMS.slice(2) : FORMS) {
      const text = `${form.before}${source}${form.after}`;
      const outcome = this.#context.evalCode(text, this.#job.entrypoint, form.flags);
      if (outcome.error === undefined) return { promise: outcome.value, result: form.result };
      const failure = this.#failure(outcome.error);
      // Nothing has run yet where the source does not parse; any other error is the program's own.
      if (!failure.message.startsWith('SyntaxError:')) throw new Failed(failure);
      const placed = { ...within(source, failure, form.before.length), reason: 'syntax' } as const;
      if (furthest === null || isAfter(placed, furthest.failure)) furthest = new Failed(placed);
    }
    throw furthest ?? new Error('no form was tried');
  }

  /** Runs what is due and waits for answers until the promise is settled; its value. */
  #settled(promise: QuickJSHandle, settle: QuickJSHandle): QuickJSHandle {
    for (;;) {
      while (this.#runtime.hasPendingJob()) {
        const ran = this.#runtime.executePendingJobs(JOBS_AT_ONCE);
        if (ran.error !== undefined) ran.error.dispose();
        if (systemClock.monotonic() > this.#deadline) throw new Failed(DEADLINE);
      }
      const state = this.#context.getPromiseState(promise);
      if (state.type === 'fulfilled') return state.notAPromise === true ? promise.dup() : state.value;
      if (state.type === 'rejected') throw new Failed(this.#failure(state.error));
      if (this.#unanswered.size === 0)
        throw new Failed({ reason: 'stuck', message: 'the program awaits something that never happens' });
      this.#flush();
      const { head, tail } = this.#early.shift() ?? this.#reply();
      this.#unanswered.delete(head.id);
      this.#deliver(head, tail, settle);
    }
  }

  #deliver(reply: WasmReply, tail: Buffer, settle: QuickJSHandle): void {
    const context = this.#context;
    using id = context.newNumber(reply.id);
    using error = reply.error === undefined ? context.undefined : context.newString(reply.error);
    using value = context.newString(JSON.stringify(reply.value ?? null));
    using bytes = context.newArrayBuffer(exactly(tail));
    this.#called(settle, context.undefined, [id, error, value, bytes]).dispose();
  }

  /** The next answer to a question of this program. */
  #reply(): Frame<WasmReply> {
    for (;;) {
      const { head, tail } = this.#pipe.receive();
      if (head.kind === 'reply' && this.#unanswered.has(head.id)) return { head, tail };
    }
  }

  #door(
    operation: string,
    textHandle: QuickJSHandle,
    bytesHandle?: QuickJSHandle,
  ): QuickJSHandle | undefined {
    const context = this.#context;
    const text = this.#text(textHandle);
    const bytes = bytesHandle === undefined ? undefined : this.#bytes(bytesHandle);
    const question = text === '' ? {} : JSON.parse(text);
    switch (operation) {
      case 'print':
        this.#print(question.stream, question.text);
        return undefined;
      case 'write':
        if (!isPlainPath(question.name)) throw new Error(`${question.name} is no name for an output file`);
        this.#send({ kind: 'output', name: question.name }, bytes ?? Buffer.from(question.text ?? ''));
        return undefined;
      case 'checkpoint':
        if (text.length > CHECKPOINT_LENGTH_MAX)
          throw new RangeError('a checkpoint is at most 1 MiB of JSON');
        this.#send({ kind: operation, value: question.value });
        return undefined;
      case 'progress':
        this.#send({ ...question, kind: operation });
        return undefined;
      case 'decode':
        return context.newString(JSON.stringify(Buffer.from(bytes ?? []).toString()));
      case 'read':
        return this.#read(question.name, question.form === 'bytes');
      case 'sleep':
        return context.newNumber(this.#ask({ what: 'sleep', ms: question.ms }));
      case 'fetch': {
        const { url, method, headers } = question;
        const body = bytes ?? Buffer.from(question.text ?? '');
        return context.newNumber(this.#ask({ what: 'fetch', url, method, headers }, body));
      }
      default:
        throw new Error(`there is no operation ${operation}`);
    }
  }

  #ask(question: Question, body?: Uint8Array): number {
    if (this.#unanswered.size >= ASKS_AT_ONCE_MAX)
      throw new Error(`more than ${ASKS_AT_ONCE_MAX} timers and requests are under way`);
    const id = ++lastAsk;
    this.#unanswered.add(id);
    this.#send({ kind: 'ask', id, ...question }, body);
    return id;
  }

  #read(name: string, asBytes: boolean): QuickJSHandle {
    const id = this.#ask({ what: 'read', name });
    let answer = this.#reply();
    for (; answer.head.id !== id; answer = this.#reply()) this.#early.push(answer);
    this.#unanswered.delete(id);
    if (answer.head.error !== undefined) throw new Error(answer.head.error);
    if (asBytes) return this.#context.newArrayBuffer(exactly(answer.tail));
    return this.#context.newString(JSON.stringify(answer.tail.toString()));
  }

  #text(handle: QuickJSHandle): string {
    using property = this.#context.getProp(handle, 'length');
    const length = this.#context.getNumber(property);
    if (length > TEXT_LENGTH_MAX)
      throw new RangeError(`a text of ${length} characters is too long to hand out`);
    return this.#context.getString(handle);
  }

  #bytes(handle: QuickJSHandle): Uint8Array | undefined {
    if (this.#context.typeof(handle) === 'undefined') return undefined;
    using length = this.#context.getProp(handle, 'byteLength');
    if (this.#context.getNumber(length) === 0) return new Uint8Array(0);
    using view = this.#context.getArrayBuffer(handle);
    return Uint8Array.from(view.value);
  }

  #called(callee: QuickJSHandle, self: QuickJSHandle, values: QuickJSHandle[]): QuickJSHandle {
    return this.#unwrapped(this.#context.callFunction(callee, self, values));
  }

  #unwrapped(outcome: ReturnType<QuickJSContext['callFunction']>): QuickJSHandle {
    if (outcome.error !== undefined) throw new Failed(this.#failure(outcome.error));
    return outcome.value;
  }

  /** What was thrown, in words; lets go of it. */
  #failure(handle: QuickJSHandle): WasmFailure {
    const thrown: unknown = this.#context.dump(handle);
    if (handle.alive) handle.dispose();
    return thrownFailure(thrown);
  }
}

/** The path `name` means in a file named `base`; never above the task's own files. */
function joined(base: string, name: string): string {
  const parts = base.split('/').slice(0, -1);
  for (const part of name.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  return parts.join('/');
}

/** The bytes in a buffer of their own. */
function exactly(bytes: Uint8Array): ArrayBuffer {
  return Uint8Array.from(bytes).buffer;
}
