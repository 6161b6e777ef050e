// A JavaScript program's attempt, the server's side: gives it to a QuickJS host process, answers what it asks, bounds what it does.

import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DomainError } from '../../domain/errors.ts';
import type { IsolationLevel, TaskError } from '../../domain/task.ts';
import type { AttemptContext, AttemptResult, ProgressReport } from '../../engine/ports/executor.ts';
import type { Outbound, OutboundAnswer } from '../../engine/ports/outbound.ts';
import { metered } from '../../guards/metered.ts';
import type { Cancel, Clock } from '../../runtime/clock.ts';
import { Capture } from './capture.ts';
import { attemptResult, deadlineError, limitError, type ProgramOutcome, syntaxError } from './ending.ts';
import { type FetchQuestion, guardedFetch } from './fetch.ts';
import { Grants } from './grants.ts';
import { type CodeLimits, LimitExceeded, letRun } from './limits.ts';
import { Meter, SAMPLE_MS, WARNING_SHARE } from './meter.ts';
import type { CodeJob } from './payload.ts';
import { Reporter } from './reporter.ts';
import type { FromProgram, WasmChild } from './wasm/child.ts';
import type { Frame, WasmAsk, WasmDone, WasmFailure } from './wasm/frames.ts';
import { isPlainPath } from './wasm/names.ts';

/** The program's own deadline comes first; this much later the process is ended from outside. */
const DEADLINE_GRACE_MS = 250;
const STEP_LENGTH_MAX = 1_000;
const FETCHES_AT_ONCE_MAX = 64;

class DeadlinePassed extends Error {}

/** One attempt of a JavaScript program. */
export class JavascriptAttempt {
  readonly #context: AttemptContext;
  readonly #job: CodeJob;
  readonly #limits: CodeLimits;
  readonly #clock: Clock;
  readonly #outbound: Outbound;
  readonly #meter: Meter;
  readonly #grants: Grants;
  readonly #reporter: Reporter;
  readonly #stdout: Capture;
  readonly #stderr: Capture;
  readonly #outputs = new Map<string, number>();
  readonly #outputDirectory: string;
  readonly #timers = new Set<Cancel>();
  readonly #asks = new AbortController();
  #fetches = 0;

  constructor(
    context: AttemptContext,
    job: CodeJob,
    limits: CodeLimits,
    parts: { readonly clock: Clock; readonly outbound: Outbound },
  ) {
    this.#context = context;
    this.#job = job;
    this.#limits = limits;
    this.#clock = parts.clock;
    this.#outbound = metered(parts.outbound, context.traffic);
    this.#meter = new Meter(parts.clock, context);
    this.#grants = new Grants(context, job.grants);
    this.#reporter = new Reporter(parts.clock, context);
    this.#stdout = this.#capture('stdout', 'INFO');
    this.#stderr = this.#capture('stderr', 'WARN');
    this.#outputDirectory = join(context.workspace, 'output');
  }

  /** Runs the program in a host process, which after a failure is of no further use. */
  async run(
    child: WasmChild,
    { isolation, kernelHoldsCpu }: { readonly isolation: IsolationLevel; readonly kernelHoldsCpu: boolean },
  ): Promise<AttemptResult> {
    const { signal } = this.#context;
    const onAbort = (): void => void child.kill(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    const { runMs, processes } = this.#limits;
    const pids = (): number[] => child.pids(processes);
    const letGo = letRun(this.#clock, pids, { ...this.#limits, kernelHoldsCpu });
    this.#meter.begin(pids());
    this.#meter.limitTime(runMs, () => {
      this.#timers.add(this.#clock.after(DEADLINE_GRACE_MS, () => void child.kill(new DeadlinePassed())));
    });
    this.#meter.every(SAMPLE_MS, () => {
      if (this.#meter.measure(pids()).threads > 0) this.#meter.sampleIfDue();
    });
    let outcome: ProgramOutcome;
    try {
      outcome = { ...(await this.#ended(child)), isolation, metrics: this.#meter.metrics() };
    } finally {
      signal.removeEventListener('abort', onAbort);
      letGo();
      this.#meter.stop();
      this.#reporter.flush();
      this.#asks.abort();
      for (const cancel of this.#timers) cancel();
    }
    await Promise.all([this.#stdout.end(), this.#stderr.end()]);
    return await attemptResult(this.#context, outcome, {
      stdout: this.#stdout,
      stderr: this.#stderr,
      outputDirectory: this.#outputDirectory,
      limits: this.#limits,
    });
  }

  async #ended(child: WasmChild): Promise<Pick<ProgramOutcome, 'exitCode' | 'result' | 'error'>> {
    let done: WasmDone;
    try {
      done = await child.run(this.#wasmJob(), frame => this.#serve(child, frame));
    } catch (error) {
      await child.kill(error);
      return { exitCode: null, result: null, error: this.#brokenError(error) };
    }
    this.#meter.observe(done.memoryMb, done.cpuMs / 1_000);
    if (done.failure === undefined) return { exitCode: 0, result: done.value ?? null, error: null };
    const { message, stack = '' } = done.failure;
    await this.#stderr.write(Buffer.from(`${message}\n${stack}\n`));
    return { exitCode: 1, result: null, error: failureError(done.failure, this.#limits) };
  }

  #wasmJob() {
    const { task, checkpoint, secrets } = this.#context;
    return {
      kind: 'job',
      owner: task.tenant,
      memoryMb: this.#limits.memoryMb,
      runMs: this.#limits.runMs,
      files: this.#job.files,
      entrypoint: this.#job.entrypoint,
      isModule: this.#job.hasFiles,
      args: this.#job.args,
      stdin: this.#job.stdin,
      inputs: this.#job.inputs,
      env: { ...task.spec.variables, ...secrets },
      restored: checkpoint,
    } as const;
  }

  async #serve(child: WasmChild, { head, tail }: Frame<FromProgram>): Promise<void> {
    switch (head.kind) {
      case 'print':
        return await (head.stream === 'stdout' ? this.#stdout : this.#stderr).write(tail);
      case 'progress':
        return this.#reporter.report(progressOf(head));
      case 'checkpoint':
        return this.#reporter.report({ checkpoint: head.value });
      case 'memory':
        return this.#meter.warn('memory', head.usedMb, this.#limits.memoryMb);
      case 'output':
        return await this.#write(head.name, tail);
      case 'ask':
        return this.#answer(child, head, tail);
    }
  }

  async #write(name: string, bytes: Buffer): Promise<void> {
    if (!isPlainPath(name)) throw new Error(`${name} is no name for an output file`);
    if (!this.#outputs.has(name)) this.#context.log('DEBUG', 'writes an output file', { name });
    this.#outputs.set(name, bytes.length);
    if (this.#outputs.size > this.#limits.outputFiles)
      throw new LimitExceeded('output_files', this.#limits.outputFiles);
    const usedMb = [...this.#outputs.values()].reduce((sum, size) => sum + size, 0) / 2 ** 20;
    if (usedMb > this.#limits.diskMb) throw new LimitExceeded('disk', this.#limits.diskMb);
    if (usedMb >= WARNING_SHARE * this.#limits.diskMb) this.#meter.warn('disk', usedMb, this.#limits.diskMb);
    const path = join(this.#outputDirectory, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes);
  }

  /** Answers in its own time: the program may ask further things meanwhile. */
  #answer(child: WasmChild, ask: WasmAsk, body: Buffer): void {
    const { id } = ask;
    const fail = (error: unknown): void =>
      child.reply({ kind: 'reply', id, error: error instanceof Error ? error.message : String(error) });
    switch (ask.what) {
      case 'sleep': {
        const cancel = this.#clock.after(Math.max(0, Math.min(ask.ms, this.#limits.runMs)), () => {
          this.#timers.delete(cancel);
          child.reply({ kind: 'reply', id });
        });
        this.#timers.add(cancel);
        return;
      }
      case 'read':
        this.#read(ask.name).then(bytes => child.reply({ kind: 'reply', id }, bytes), fail);
        return;
      case 'fetch':
        this.#fetch({ ...ask, body }).then(
          ({ status, headers, body: bytes }) =>
            child.reply({ kind: 'reply', id, value: { status, headers } }, bytes),
          fail,
        );
    }
  }

  async #fetch(question: FetchQuestion): Promise<OutboundAnswer> {
    if (this.#fetches >= FETCHES_AT_ONCE_MAX)
      throw new DomainError('rate_limited', `more than ${FETCHES_AT_ONCE_MAX} requests are under way`);
    this.#fetches++;
    try {
      return await guardedFetch(question, this.#job.allowedHosts, {
        outbound: this.#outbound,
        context: this.#context,
        answerBytesMax: Math.floor((this.#limits.memoryMb * 2 ** 20) / 4),
        signal: this.#asks.signal,
      });
    } finally {
      this.#fetches--;
    }
  }

  async #read(name: string): Promise<Buffer> {
    const { sizeBytes, stream } = await this.#grants.open(name);
    const bytesMax = (this.#limits.memoryMb * 2 ** 20) / 2;
    if (sizeBytes > bytesMax) {
      stream.destroy();
      throw new DomainError('payload_too_large', `${name} is larger than half of the program's memory`);
    }
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  #brokenError(error: unknown): TaskError {
    if (error instanceof LimitExceeded) return limitError(error);
    if (error instanceof DeadlinePassed) return deadlineError(this.#limits.runMs);
    const message = error instanceof Error ? error.message : String(error);
    if (/out of memory/i.test(message)) return limitError(new LimitExceeded('memory', this.#limits.memoryMb));
    return { code: 'internal', message: `the sandbox failed: ${message.slice(0, 1_000)}`, recoverable: true };
  }

  #capture(name: 'stdout' | 'stderr', level: 'INFO' | 'WARN'): Capture {
    const context = this.#context;
    return new Capture({
      path: join(context.workspace, name),
      bytesMax: this.#limits.streamBytes,
      onLine: line => context.log(level, line, { stream: name }),
      secrets: Object.values(context.secrets),
    });
  }
}

/** What a program reported, as far as it makes sense: it may have called `progress` with anything. */
function progressOf(said: Readonly<Record<string, unknown>>): ProgressReport {
  const { percentage, currentStep, totalSteps } = said;
  return {
    ...(typeof percentage === 'number' && { percentage }),
    ...(typeof currentStep === 'string' && { currentStep: currentStep.slice(0, STEP_LENGTH_MAX) }),
    ...(typeof totalSteps === 'number' && { totalSteps }),
  };
}

function failureError(failure: WasmFailure, limits: CodeLimits): TaskError {
  const { reason, message, stack, file, line, column } = failure;
  switch (reason) {
    case 'syntax':
      return syntaxError(message, failure);
    case 'memory':
      return limitError(new LimitExceeded('memory', limits.memoryMb));
    case 'deadline':
      return deadlineError(limits.runMs);
    case 'thrown':
    case 'stuck':
    case 'unserializable':
    case 'overflow':
      return {
        code: 'task_failed',
        message,
        recoverable: failure.recoverable === true,
        details: { reason, stack, file, line, column },
      };
  }
}
