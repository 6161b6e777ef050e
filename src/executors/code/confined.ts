// The attempt of a python, shell or native program: its files laid out, the program confined and watched, what it leaves taken in.
//
// The program finds its directories by environment variables: BATUTA_WORK (where it begins), BATUTA_INPUT (granted artifacts),
// BATUTA_OUTPUT (files that become artifacts), BATUTA_INPUTS (the inputs as JSON) and BATUTA_CHECKPOINT (the last checkpoint as JSON,
// absent in a first attempt). It reports by marked lines on stdout: see capture.ts.

import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Json } from '../../domain/json.ts';
import type { TaskError } from '../../domain/task.ts';
import type { AttemptContext, AttemptResult } from '../../engine/ports/executor.ts';
import type { Cancel, Clock } from '../../runtime/clock.ts';
import { Capture, type MarkedLine } from './capture.ts';
import { errorOf } from './diagnosis.ts';
import { attemptResult, deadlineError, limitError, type ProgramOutcome } from './ending.ts';
import { Grants } from './grants.ts';
import { type CodeLimits, LimitExceeded, letRun } from './limits.ts';
import { Meter } from './meter.ts';
import type { Place } from './offers.ts';
import type { CodeJob } from './payload.ts';
import { Reporter } from './reporter.ts';
import {
  type AttemptMark,
  type Confined,
  INSIDE,
  type Interpreters,
  type Layout,
  type ProgramCommand,
  type Tier,
} from './sandbox/confinement.ts';
import { clearLayout, layOut, placeInput } from './sandbox/layout.ts';
import { Watch } from './watch.ts';

/** Between asking a program to end and ending it. */
const TERM_GRACE_MS = 300;

/** One attempt of a program that is not JavaScript. */
export class ConfinedAttempt {
  readonly #context: AttemptContext;
  readonly #job: CodeJob;
  readonly #limits: CodeLimits;
  readonly #clock: Clock;
  readonly #meter: Meter;
  readonly #reporter: Reporter;
  #result: Json = null;
  #failure: TaskError | null = null;
  #grace: Cancel | null = null;

  constructor(context: AttemptContext, job: CodeJob, limits: CodeLimits, parts: { readonly clock: Clock }) {
    this.#context = context;
    this.#job = job;
    this.#limits = limits;
    this.#clock = parts.clock;
    this.#meter = new Meter(parts.clock, context);
    this.#reporter = new Reporter(parts.clock, context);
  }

  /** Runs the program to its end, leaving no process and no file behind. */
  async run({ tier, interpreters }: Place, mark: AttemptMark): Promise<AttemptResult> {
    const context = this.#context;
    const given = { files: this.#job.files, inputs: this.#job.inputs, checkpoint: context.checkpoint };
    const layout = await layOut(context.workspace, given, tier.uidOf(mark));
    const stdout = this.#capture('stdout', 'INFO', line => this.#report(line));
    const stderr = this.#capture('stderr', 'WARN');
    try {
      for await (const file of new Grants(context, this.#job.grants).all())
        await placeInput(layout, file, context.signal);
      context.signal.throwIfAborted();
      const confined = tier.confine(this.#command(tier, interpreters, layout), mark);
      const outcome = await this.#ended(tier, confined, layout, { stdout, stderr });
      const kept = { stdout, stderr, outputDirectory: layout.output, limits: this.#limits };
      return await attemptResult(context, { ...outcome, isolation: tier.level }, kept);
    } finally {
      this.#meter.stop();
      await clearLayout(layout);
    }
  }

  #command(tier: Tier, interpreters: Interpreters, layout: Layout): ProgramCommand {
    const seen = tier.level === 'bubblewrap' ? INSIDE : layout;
    const { language, entrypoint, args } = this.#job;
    const script = join(seen.work, entrypoint);
    const { python = 'python3', shell = 'sh' } = interpreters;
    const command = {
      python: [python, '-s', '-B', '-u', script],
      shell: [shell, script],
      native: [join(seen.input, entrypoint)],
      javascript: [script],
    }[language];
    const { task, secrets, checkpoint } = this.#context;
    const environment = {
      HOME: seen.work,
      LANG: 'C.UTF-8',
      ...task.spec.variables,
      ...secrets,
      BATUTA_WORK: seen.work,
      BATUTA_INPUT: seen.input,
      BATUTA_OUTPUT: seen.output,
      BATUTA_INPUTS: join(seen.given, 'inputs.json'),
      ...(checkpoint !== null && { BATUTA_CHECKPOINT: join(seen.given, 'checkpoint.json') }),
    };
    return { command: [...command, ...args], environment, limits: this.#limits, layout, boundsData: true };
  }

  async #ended(
    tier: Tier,
    confined: Confined,
    layout: Layout,
    streams: { readonly stdout: Capture; readonly stderr: Capture },
  ): Promise<Omit<ProgramOutcome, 'isolation'>> {
    const stop = (error: TaskError): void => {
      this.#failure ??= error;
      confined.kill();
    };
    const onExceeded = (failure: LimitExceeded): void => stop(limitError(failure));
    const watch = new Watch(confined, layout, this.#limits, { meter: this.#meter, onExceeded });
    watch.start();
    this.#meter.limitTime(this.#limits.runMs, () => stop(deadlineError(this.#limits.runMs)));
    const pids = (): number[] => confined.pids(2 * this.#limits.processes);
    const kernelHoldsCpu = tier.holdsCpu(this.#limits);
    const letGo = letRun(this.#clock, pids, { ...this.#limits, kernelHoldsCpu });
    const onAbort = (): void => {
      // A stopped process hears nothing.
      letGo();
      confined.terminate();
      this.#grace = this.#clock.after(TERM_GRACE_MS, () => confined.kill());
    };
    this.#context.signal.addEventListener('abort', onAbort, { once: true });
    if (this.#context.signal.aborted) onAbort();
    confined.stdin.end(this.#job.stdin);
    try {
      const [{ exitCode }] = await Promise.all([
        confined.ended,
        taken(confined.stdout, streams.stdout, onExceeded),
        taken(confined.stderr, streams.stderr, onExceeded),
      ]);
      const evidence = {
        lastWords: streams.stderr.lastWords(),
        memoryPeakMb: watch.memoryPeakMb,
        diskMb: this.#failure === null ? await watch.diskMb() : 0,
        ranOutOfMemory: confined.ranOutOfMemory(),
      };
      const error =
        this.#failure ??
        (exitCode === null
          ? sandboxError(evidence.lastWords)
          : errorOf(this.#job, { ...evidence, exitCode }, this.#limits));
      const ownExit = this.#failure === null ? exitCode : null;
      return { exitCode: ownExit, result: this.#result, error, metrics: this.#meter.metrics() };
    } finally {
      letGo();
      confined.kill();
      this.#reporter.flush();
      this.#grace?.();
      this.#context.signal.removeEventListener('abort', onAbort);
      this.#meter.stop();
    }
  }

  #report(line: MarkedLine): void {
    if (line.kind === 'result') this.#result = line.value;
    else this.#reporter.report(line.report);
  }

  #capture(name: 'stdout' | 'stderr', level: 'INFO' | 'WARN', onMark?: (line: MarkedLine) => void): Capture {
    const context = this.#context;
    return new Capture({
      path: join(context.workspace, name),
      bytesMax: this.#limits.streamBytes,
      onLine: line => context.log(level, line, { stream: name }),
      secrets: Object.values(context.secrets),
      ...(onMark !== undefined && { onMark }),
    });
  }
}

/** Takes a stream in to its end; what comes after a limit is thrown away, so that the program's end is seen. */
async function taken(
  stream: Readable,
  capture: Capture,
  onExceeded: (failure: LimitExceeded) => void,
): Promise<void> {
  let isOver = false;
  for await (const chunk of stream) {
    if (isOver) continue;
    try {
      await capture.write(chunk);
    } catch (error) {
      if (!(error instanceof LimitExceeded)) throw error;
      isOver = true;
      onExceeded(error);
    }
  }
  await capture.end();
}

function sandboxError(complaint: string): TaskError {
  const said = complaint.trim().slice(0, 1_000);
  return { code: 'internal', message: `the sandbox did not start the program: ${said}`, recoverable: true };
}
