// The executor of code_execution: probes the host, checks tasks against what it offers, and runs attempts where they belong.

import { chmod, mkdir, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { DomainError } from '../../domain/errors.ts';
import type { IsolationLevel, LimitModes, TaskSpec } from '../../domain/task.ts';
import {
  AttemptAbort,
  type AttemptContext,
  type AttemptResult,
  type Executor,
  type ExecutorStatus,
} from '../../engine/ports/executor.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { giveWay } from '../../runtime/processors.ts';
import type { Random } from '../../runtime/random.ts';
import { removeTree } from './artifacts.ts';
import { ConfinedAttempt } from './confined.ts';
import { Dependencies } from './dependencies.ts';
import { JavascriptAttempt } from './javascript.ts';
import { CODE_DEFAULTS, limitsOf, limitsOfTrial } from './limits.ts';
import { type Findings, levelFor, modesOf, placeOf, refusal, statusOf, wasmHoldsCpu } from './offers.ts';
import {
  CODE_PAYLOAD_SCHEMA,
  codeJobOf,
  contradictions,
  isLanguage,
  LANGUAGES,
  type Language,
} from './payload.ts';
import { type Probed, probeBubblewrap, probeRlimits } from './probe.ts';
import type { AttemptMark } from './sandbox/confinement.ts';
import { WasmPool } from './wasm/pool.ts';
import { withWrappedChild } from './wrapped.ts';

/** What the operator decides. */
export interface CodeExecutorOptions {
  /** The directory attempts' workspaces are made under; made if it does not exist. */
  readonly workRoot: string;
  /** The most JavaScript programs at once. */
  readonly poolSize: number;
  /** Lets python, shell and native programs run as plain children with limits where there is no bubblewrap; no by default. */
  readonly allowRlimits?: boolean;
  /** Where bubblewrap is, unless in one of the usual places. */
  readonly bubblewrapPath?: string;
}

/** What the executor is made of. */
export interface CodeExecutorParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  readonly outbound: Outbound;
  readonly options: CodeExecutorOptions;
}

/** Runs code in JavaScript, Python, shell and native form, as strongly confined as the host allows (`SAM-137` to `SAM-141`). */
export function createCodeExecutor(parts: CodeExecutorParts): Executor {
  return new CodeExecutor(parts);
}

const EXPECTED_MS = 10_000;
/** User ids given to attempts where the server is root: a range no distribution gives to accounts. */
const UIDS = { first: 61_184, count: 4_000 };
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

const NOT_STARTED: Findings = {
  bubblewrap: { tier: null, missing: 'the executor has not been started' },
  rlimits: { tier: null, missing: 'the executor has not been started' },
  wasmMissing: 'the executor has not been started',
  wrappedMissing: 'the executor has not been started',
};

class CodeExecutor implements Executor {
  readonly type = 'code_execution';
  readonly payloadSchema = CODE_PAYLOAD_SCHEMA;
  readonly defaults = { resources: CODE_DEFAULTS, expectedMs: EXPECTED_MS };
  readonly #parts: CodeExecutorParts;
  readonly #pool: WasmPool;
  readonly #dependencies: Dependencies;
  readonly #running = new Set<Promise<AttemptResult>>();
  readonly #uidsTaken = new Set<number>();
  readonly #closing = new AbortController();
  #findings = NOT_STARTED;
  #turn: number;

  constructor(parts: CodeExecutorParts) {
    this.#parts = parts;
    const { poolSize, workRoot } = parts.options;
    // Somewhere in the range: the kernel counts a user's processes over all servers of the host, and two would begin alike.
    this.#turn = Math.floor(parts.random.fraction() * UIDS.count);
    this.#pool = new WasmPool(parts.log, parts.clock, {
      sizeMax: poolSize,
      memoryMb: CODE_DEFAULTS.memoryMb,
    });
    this.#dependencies = new Dependencies({ random: parts.random, workRoot });
  }

  async start(): Promise<void> {
    const { log, options, random } = this.#parts;
    const { workRoot, allowRlimits = false, bubblewrapPath } = options;
    await mkdir(workRoot, { recursive: true, mode: 0o700 });
    // Plain children with a user of their own must be able to pass through to their files, and to nothing else.
    if (allowRlimits && process.getuid?.() === 0) await chmod(workRoot, 0o711);
    const probing = { workRoot, random };
    const [bubblewrap, rlimits, wasmMissing] = await Promise.all([
      probeBubblewrap(bubblewrapPath === undefined ? probing : { ...probing, bubblewrapPath }),
      allowRlimits
        ? probeRlimits(probing)
        : ({ tier: null, missing: 'plain rlimits were not allowed by the operator' } as const),
      reasonOf(this.#pool.start()),
    ]);
    const wrappedMissing = await this.#whyNotWrapped(bubblewrap);
    this.#findings = { bubblewrap, rlimits, wasmMissing, wrappedMissing };
    log.info('code execution', this.status());
  }

  async stop(): Promise<void> {
    this.#closing.abort(new AttemptAbort('shutdown'));
    await Promise.allSettled(this.#running);
    await this.#pool.stop();
  }

  status(): ExecutorStatus {
    return statusOf(this.#findings, { ...this.#pool.counts() });
  }

  limitModes(spec: TaskSpec): LimitModes {
    const { language } = spec.payload;
    const known = typeof language === 'string' && isLanguage(language) ? language : 'javascript';
    return modesOf(this.#findings, known, { least: spec.minIsolation, limits: limitsOf(spec, 0) });
  }

  async check(spec: TaskSpec): Promise<void> {
    const errors = contradictions(spec.payload);
    if (errors.length > 0) {
      const message = errors.map(error => `${error.field} ${error.message}`).join('; ');
      throw new DomainError('invalid_request', message, {
        details: { errors: errors.map(error => ({ ...error })) },
      });
    }
    const language = languageOf(spec);
    const level = levelFor(this.#findings, language, spec.minIsolation);
    if (language !== 'javascript') checkConfinable(spec);
    await this.#checkDependencies(language, level, spec.dependencies);
  }

  async run(context: AttemptContext): Promise<AttemptResult> {
    const signal = AbortSignal.any([context.signal, this.#closing.signal]);
    const attempt = this.#attempt({ ...context, signal });
    this.#running.add(attempt);
    try {
      return await attempt;
    } finally {
      this.#running.delete(attempt);
    }
  }

  async #attempt(context: AttemptContext): Promise<AttemptResult> {
    const { spec } = context.task;
    context.signal.throwIfAborted();
    const level = levelFor(this.#findings, languageOf(spec), spec.minIsolation);
    return level === 'wasm'
      ? await this.#pooled(context)
      : await this.#marked(mark => this.#placed(context, level, mark));
  }

  async #pooled(context: AttemptContext): Promise<AttemptResult> {
    const { spec, ranMs, tenant } = context.task;
    const limits = limitsOf(spec, ranMs);
    const child = await this.#pool.acquire({ memoryMb: limits.memoryMb, owner: tenant }, context.signal);
    if (limits.cpuBurst) giveWay(child.pids(limits.processes));
    try {
      const attempt = new JavascriptAttempt(context, codeJobOf(spec.payload), limits, this.#parts);
      return await attempt.run(child, { isolation: 'wasm', kernelHoldsCpu: wasmHoldsCpu(limits) });
    } finally {
      // One that was made to give way could not be made to stop doing so.
      if (limits.cpuBurst) await child.kill();
      this.#pool.release(child);
    }
  }

  async #placed(context: AttemptContext, level: IsolationLevel, mark: AttemptMark): Promise<AttemptResult> {
    const { spec, ranMs } = context.task;
    const [job, limits] = [codeJobOf(spec.payload), limitsOf(spec, ranMs)];
    const place = placeOf(this.#findings, level);
    if (place === null) throw refusal(`there is no ${level} here`, { reason: 'isolation_unattainable' });
    if (job.language !== 'javascript')
      return await new ConfinedAttempt(context, job, limits, this.#parts).run(place, mark);
    return await withWrappedChild(place.tier, { workspace: context.workspace, limits, mark }, child =>
      new JavascriptAttempt(context, job, limits, this.#parts).run(child, {
        isolation: level,
        kernelHoldsCpu: place.tier.holdsCpu(limits),
      }),
    );
  }

  /** Runs with an identity no other attempt has meanwhile. */
  async #marked<Value>(run: (mark: AttemptMark) => Promise<Value>): Promise<Value> {
    let uid: number;
    do uid = UIDS.first + (this.#turn++ % UIDS.count);
    while (this.#uidsTaken.has(uid));
    this.#uidsTaken.add(uid);
    try {
      return await run({ id: this.#parts.random.uuid(), uid, turn: this.#turn });
    } finally {
      this.#uidsTaken.delete(uid);
    }
  }

  async #checkDependencies(
    language: Language,
    level: IsolationLevel,
    wanted: readonly string[],
  ): Promise<void> {
    const missing = await this.#dependencies.missing(language, wanted, placeOf(this.#findings, level));
    if (missing.length === 0) return;
    const details = { reason: 'dependency_unavailable', dependencies: missing };
    throw refusal(`${language} programs here do not find ${missing.join(', ')}`, details);
  }

  async #whyNotWrapped({ tier }: Probed): Promise<string | null> {
    if (tier === null) return 'there is no bubblewrap';
    const workspace = await mkdtemp(join(this.#parts.options.workRoot, 'trial-'));
    const limits = limitsOfTrial();
    try {
      return await this.#marked(mark =>
        reasonOf(withWrappedChild(tier, { workspace, limits, mark }, async () => {})),
      );
    } finally {
      await removeTree(workspace);
    }
  }
}

/** What WebAssembly can do and a sandbox without network, entered through a shell, cannot. */
function checkConfinable(spec: TaskSpec): void {
  if (codeJobOf(spec.payload).allowedHosts.length > 0)
    throw refusal('only JavaScript programs can be given network access', { reason: 'network_unavailable' });
  const name = [...Object.keys(spec.variables), ...spec.secretNames].find(one => !VARIABLE.test(one));
  if (name !== undefined)
    throw refusal(`${name} cannot be the name of a variable`, { reason: 'variable_name', name });
}

function languageOf(spec: TaskSpec): Language {
  const { language } = spec.payload;
  if (typeof language === 'string' && isLanguage(language)) return language;
  throw refusal(`there is no language ${String(language)}`, {
    reason: 'unknown_language',
    languages: LANGUAGES,
  });
}

/** Why something cannot be done, or null once it was. */
function reasonOf(trial: Promise<void>): Promise<string | null> {
  return trial.then(
    () => null,
    error => String(error),
  );
}
