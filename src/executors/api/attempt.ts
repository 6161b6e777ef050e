// One attempt: runs the requests of a plan in order, or several at once, keeps what they answered, and leaves a checkpoint after each so
// that another attempt does not repeat them.

import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { asDomainError, DomainError, ERROR_CODES } from '../../domain/errors.ts';
import type { ArtifactId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { TaskError } from '../../domain/task.ts';
import type { AttemptContext, AttemptResult } from '../../engine/ports/executor.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { PayloadCheck } from '../../engine/ports/schemas.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import { authenticatorOf } from './auth.ts';
import { BODY_BYTES_MAX, type Body, callOf, originOf } from './call.ts';
import type { Expression, Expressions } from './expressions.ts';
import type { Pace } from './pace.ts';
import { isKnownAhead, type Plan, type PlannedRequest } from './plan.ts';
import { RequestProgress } from './progress.ts';
import { Redactor } from './redactor.ts';
import { runRequest } from './run-request.ts';
import { INLINE_BYTES_MAX, Spool } from './spool.ts';
import { expressionsIn, renderText, type Values } from './templates.ts';
import type { Tokens } from './tokens.ts';
import { Usage } from './usage.ts';

/** What an attempt works with. */
export interface AttemptParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly outbound: Outbound;
  readonly expressions: Expressions;
  readonly schemas: PayloadCheck;
  readonly pace: Pace;
  readonly tokens: Tokens;
  readonly diskMb: number;
}

const CHECKPOINT_LENGTH_MAX = 262_144;

/** Runs the attempt to its end; rejects with the abort's reason, within a second of it. */
export async function runAttempt(
  context: AttemptContext,
  plan: Plan,
  parts: AttemptParts,
): Promise<AttemptResult> {
  const { signal } = context;
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const attempt = new Attempt(context, plan, parts);
  try {
    return await Promise.race([attempt.run(), aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    attempt.clear();
  }
}

class Attempt {
  readonly #context: AttemptContext;
  readonly #plan: Plan;
  readonly #parts: AttemptParts;
  readonly #usage: Usage;
  readonly #redactor: Redactor;
  readonly #progress: RequestProgress;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #outputs: (JsonObject | undefined)[];
  /** What may have been done and must not be done again, unless a checkpoint says that it was. */
  readonly #begun = new Set<PlannedRequest>();
  #origins: ReadonlySet<string> = new Set();
  #inlineLeft = INLINE_BYTES_MAX;
  #spools = 0;

  constructor(context: AttemptContext, plan: Plan, parts: AttemptParts) {
    this.#context = context;
    this.#plan = plan;
    this.#parts = parts;
    this.#usage = new Usage(parts.clock, context, parts);
    this.#redactor = new Redactor(Object.values(context.secrets));
    this.#signal = AbortSignal.any([context.signal, this.#stop.signal]);
    this.#outputs = resumed(context.checkpoint, plan);
    const done = this.#done().length;
    this.#inlineLeft -= JSON.stringify(this.#done()).length;
    const tell = this.#redacted(progress => context.report(progress));
    this.#progress = new RequestProgress(parts.clock, tell, { requests: plan.requests.length, done });
  }

  async run(): Promise<AttemptResult> {
    try {
      await this.#findOrigins();
      await this.#runAll();
      const result = this.#plan.result === null ? {} : await this.#result(this.#plan.result);
      const output = this.#redactor.json({ responses: this.#done(), ...result });
      return { status: 'completed', output, metrics: this.#usage.finish() };
    } catch (error) {
      this.#context.signal.throwIfAborted();
      const known = asDomainError(error);
      if (known.code === 'internal') throw error;
      const output = this.#redactor.json({ responses: this.#done() });
      return { status: 'failed', error: this.#taskError(known), output, metrics: this.#usage.finish() };
    }
  }

  clear(): void {
    this.#stop.abort(new Error('the attempt is over'));
    this.#usage.stop();
  }

  /** Each worker takes the next request in order; whom it waits for was taken before, so somebody can always go on. */
  async #runAll(): Promise<void> {
    const { requests, parallel } = this.#plan;
    const ends = requests.map(() => Promise.withResolvers<void>());
    for (const { promise } of ends) promise.catch(() => {});
    let next = 0;
    let failed: { readonly error: unknown } | null = null;
    const work = async (): Promise<void> => {
      for (let planned = requests[next++]; planned !== undefined; planned = requests[next++]) {
        const end = ends[planned.index];
        try {
          for (const index of planned.needs) await ends[index]?.promise;
          this.#signal.throwIfAborted();
          if (this.#outputs[planned.index] === undefined) await this.#runOne(planned);
          end?.resolve();
        } catch (error) {
          failed ??= { error };
          end?.reject(error);
          this.#stop.abort(error);
          return;
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(parallel, requests.length) }, work));
    const failure = failed as { readonly error: unknown } | null;
    if (failure !== null) throw failure.error;
  }

  async #runOne(planned: PlannedRequest): Promise<void> {
    const parts = this.#parts;
    const values = await this.#valuesOf(planned.expressions, planned.needs);
    const auth = authenticatorOf(planned.auth, values, {
      tenant: this.#context.task.tenant,
      secrets: this.#context.secrets,
      origins: this.#origins,
      tokens: parts.tokens,
      redactor: this.#redactor,
    });
    const key = `${this.#context.task.executionId}-${planned.index + 1}`;
    const file = planned.file === null ? null : await this.#open(renderText(planned.file, values));
    const call = callOf(planned, values, { auth, perSecond: this.#plan.perSecond, key, file });
    const output = await runRequest(planned, call, {
      ...parts,
      usage: this.#usage,
      tenant: this.#context.task.tenant,
      signal: this.#signal,
      log: (level, message, metadata) =>
        this.#context.log(level, this.#redactor.text(message), this.#redactor.json(metadata ?? {})),
      context: this.#context,
      left: () => void (planned.repeatable || this.#begun.add(planned)),
      spool: () => this.#spool(),
      inline: bytes => this.#takeInline(bytes),
      turned: (page, pagesMax) => this.#progress.turned(planned, page, pagesMax),
    });
    this.#outputs[planned.index] = output;
    this.#progress.ended(this.#checkpoint());
  }

  /** What was answered so far; null where it is too much, or would not be whole once secrets are masked in it. */
  #checkpoint(): Json | null {
    const responses = Object.fromEntries(
      this.#outputs.flatMap((one, index) => (one === undefined ? [] : [[String(index), one] as const])),
    );
    const checkpoint = { responses };
    const isSmall = JSON.stringify(checkpoint).length <= CHECKPOINT_LENGTH_MAX;
    if (!isSmall || !this.#redactor.leavesWhole(checkpoint)) return null;
    for (const planned of this.#begun)
      if (this.#outputs[planned.index] !== undefined) this.#begun.delete(planned);
    return checkpoint;
  }

  async #findOrigins(): Promise<void> {
    const known = this.#plan.requests.filter(({ url }) => isKnownAhead(url));
    const values = await this.#valuesOf(
      known.flatMap(({ url }) => expressionsIn(url)),
      new Set(),
    );
    const origins = this.#plan.requests.map(({ url }) => originOf(url, isKnownAhead(url), values));
    this.#origins = new Set(origins.filter(origin => origin !== null));
  }

  async #valuesOf(expressions: readonly Expression[], needs: ReadonlySet<number>): Promise<Values> {
    const { secrets, task } = this.#context;
    const withSecrets = expressions.some(({ names }) => names.has('secrets'));
    const values = await this.#parts.expressions.evaluate(expressions, {
      inputs: this.#plan.inputs,
      variables: task.spec.variables,
      responses: this.#byName([...needs]),
      ...(withSecrets ? { secrets } : {}),
    });
    return new Map(expressions.map(({ text }, index) => [text, values[index] ?? null]));
  }

  /** Inline while it fits, else as a file. */
  async #result(expression: Expression): Promise<JsonObject> {
    const responses = this.#byName(this.#plan.requests.map(({ index }) => index));
    const [value] = await this.#parts.expressions.evaluate([expression], {
      inputs: this.#plan.inputs,
      responses,
    });
    const written = Buffer.from(JSON.stringify(this.#redactor.json(value ?? null)));
    if (this.#takeInline(written.length)) return { result: value ?? null };
    const name = 'result.json';
    const mediaType = 'application/json';
    const saved = await this.#context.saveArtifact({ name, type: 'api_result', mediaType, source: written });
    const { id, sizeBytes, sha256 } = saved;
    return {
      result_artifact: { artifact_id: id, name, media_type: mediaType, size_bytes: sizeBytes, sha256 },
    };
  }

  #byName(indexes: readonly number[]): JsonObject {
    return Object.fromEntries(
      indexes.map(index => [this.#plan.requests[index]?.name ?? '', this.#outputs[index]] as const),
    );
  }

  async #open(id: string): Promise<Body> {
    const { artifact, stream } = await this.#context.openArtifact(id as ArtifactId);
    if (artifact.sizeBytes > BODY_BYTES_MAX) {
      stream.destroy();
      throw new DomainError('payload_too_large', `the artifact ${id} is over ${BODY_BYTES_MAX} bytes`);
    }
    return { bytes: await buffer(stream), type: artifact.mediaType };
  }

  #done(): readonly JsonObject[] {
    return this.#outputs.filter(one => one !== undefined);
  }

  #spool(): Spool {
    return new Spool(() => join(this.#context.workspace, `body-${++this.#spools}`), this.#usage);
  }

  #takeInline(bytes: number): boolean {
    if (bytes > this.#inlineLeft) return false;
    this.#inlineLeft -= bytes;
    return true;
  }

  #redacted(tell: AttemptContext['report']): AttemptContext['report'] {
    return progress => tell({ ...progress, currentStep: this.#redactor.text(progress.currentStep ?? '') });
  }

  /** Another attempt may help only where nothing was begun that must not be done twice. */
  #taskError({ code, message, details }: DomainError): TaskError {
    const isPassing = ERROR_CODES[code].retry === 'yes';
    return {
      code,
      message: this.#redactor.text(message),
      recoverable: isPassing && this.#begun.size === 0,
      details: this.#redactor.json(details),
    };
  }
}

/** What the attempt before got; nothing for a checkpoint that is none of this plan's. */
function resumed(checkpoint: Json | null, plan: Plan): (JsonObject | undefined)[] {
  const known = isJsonObject(checkpoint) && isJsonObject(checkpoint.responses) ? checkpoint.responses : {};
  return plan.requests.map(({ index, name }) => {
    const output = known[String(index)];
    return isJsonObject(output) && output.name === name ? output : undefined;
  });
}
