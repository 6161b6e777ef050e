// One attempt in the server: gives a job to a driver, answers what it asks, and watches what it uses. It leaves no process and no file.

import { createReadStream } from 'node:fs';
import type { JsonObject } from '../../domain/json.ts';
import type { AttemptContext, AttemptResult } from '../../engine/ports/executor.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import { metered } from '../../guards/metered.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { QuestionName, Questions, WebAnswer, WebFile } from './driver/messages.ts';
import type { DriverThread, JobHandlers } from './driver-thread.ts';
import { fetchPage } from './fetch.ts';
import type { Pace } from './pace.ts';
import type { WebPayload } from './payload.ts';
import type { ProxyPass } from './proxy.ts';
import { ROBOT_NAME, type Robots } from './robots.ts';
import { LimitWatch, type WebLimits } from './watch.ts';
import { failureOf, taskErrorOf, WebError } from './web-error.ts';

const PAGES_A_SECOND = 2;
const READ_BYTES = 262_144;

/** What an attempt works with. */
export interface AttemptParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly outbound: Outbound;
  readonly pace: Pace;
  readonly robots: Robots;
  readonly limits: WebLimits;
  /** The attempt's own, to be killed if anything goes wrong. */
  readonly driver: DriverThread;
  /** Null for plain HTTP. */
  readonly pass: ProxyPass | null;
  readonly onBrowser: (version: string) => void;
}

/** Runs the attempt to its end; rejects with the abort's reason. The driver is killed then, and after any failure but a clean one. */
export async function runAttempt(
  context: AttemptContext,
  payload: WebPayload,
  parts: AttemptParts,
): Promise<AttemptResult> {
  return await new Attempt(context, payload, parts).run();
}

class Attempt {
  readonly #context: AttemptContext;
  readonly #payload: WebPayload;
  readonly #parts: AttemptParts;
  readonly #watch: LimitWatch;

  constructor(context: AttemptContext, payload: WebPayload, parts: AttemptParts) {
    this.#context = context;
    this.#payload = payload;
    this.#parts = parts;
    this.#watch = new LimitWatch(parts.clock, context, parts.limits);
  }

  async run(): Promise<AttemptResult> {
    const { driver, pass, log } = this.#parts;
    const { signal, task } = this.#context;
    const { promise: stopped, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const level = pass === null ? {} : ({ isolation: 'process' } as const);
    try {
      signal.throwIfAborted();
      if (pass !== null)
        this.#watch.follow({ pids: () => driver.pids(), directory: driver.directory }, reject);
      const output = await Promise.race([this.#work(), stopped]);
      return { status: 'completed', output, metrics: this.#watch.metrics(), ...level };
    } catch (error) {
      if (signal.aborted) throw error;
      const failure = failureOf(error);
      const cause = error instanceof Error ? String(error.cause ?? error) : String(error);
      if (failure.code === 'internal' || failure.details.launch === true)
        log.warn('a web job failed', { task: task.id, cause });
      return { status: 'failed', error: taskErrorOf(failure), metrics: this.#watch.metrics(), ...level };
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#watch.stop();
      pass?.close();
    }
  }

  async #work(): Promise<JsonObject> {
    const { driver, pass, clock } = this.#parts;
    const { task, secrets } = this.#context;
    const output = await driver.run(
      {
        payload: this.#payload,
        secrets,
        variables: task.spec.variables,
        startedAt: clock.now(),
        proxy: pass?.access ?? null,
      },
      { hear: message => this.#hear(message), answer: (name, question) => this.#answer(name, question) },
    );
    const refused = pass?.refused ?? 0;
    return refused === 0 ? output : { ...output, requests_refused: refused };
  }

  #hear(message: Parameters<JobHandlers['hear']>[0]): void {
    switch (message.kind) {
      case 'browser':
        this.#parts.onBrowser(message.version);
        return;
      case 'log':
        this.#context.log(message.level, message.message, message.metadata);
        return;
      case 'progress': {
        const { percentage, step: currentStep, totalSteps, intermediate } = message;
        this.#context.report({
          percentage,
          currentStep,
          totalSteps,
          ...(intermediate === undefined ? {} : { intermediate }),
        });
      }
    }
  }

  async #answer<Name extends QuestionName>(
    name: Name,
    question: Questions[Name]['ask'],
  ): Promise<Questions[Name]['answer']> {
    this.#context.signal.throwIfAborted();
    const answers: { readonly [Key in QuestionName]: (asked: never) => Promise<Questions[Key]['answer']> } = {
      approach: ({ url }: Questions['approach']['ask']) => this.#approach(url),
      fetch: (asked: Questions['fetch']['ask']) => this.#fetch(asked),
      refusal: async ({ url }: Questions['refusal']['ask']) => this.#parts.pass?.refusal(url) ?? null,
      save: (file: WebFile) => this.#save(file),
    };
    return await answers[name](question as never);
  }

  async #approach(url: string): Promise<null> {
    const { pace, robots } = this.#parts;
    const { signal } = this.#context;
    const { options = {} } = this.#payload;
    if (options.obey_robots !== false)
      await robots.assertAllowed(url, options.user_agent ?? ROBOT_NAME, signal);
    const { requests_per_second: rate = PAGES_A_SECOND } = options;
    await pace.turn(new URL(url).host, 1_000 / rate, signal);
    this.#context.log('INFO', 'a page is opened', { url });
    return null;
  }

  async #fetch(asked: Questions['fetch']['ask']): Promise<WebAnswer> {
    const outbound = metered(this.#parts.outbound, this.#context.traffic);
    return await fetchPage(asked, outbound, this.#context.signal);
  }

  async #save({ name, type, mediaType, source }: WebFile): Promise<JsonObject> {
    if (typeof source === 'string' && !source.startsWith(`${this.#parts.driver.directory}/`))
      throw new WebError('internal', 'a file lies outside its directory');
    const { signal } = this.#context;
    const artifact = await this.#context.saveArtifact({
      name,
      type,
      mediaType,
      source:
        typeof source === 'string' ? createReadStream(source, { signal, highWaterMark: READ_BYTES }) : source,
    });
    const { id, sizeBytes, sha256 } = artifact;
    return { name, type, artifact_id: id, media_type: mediaType, size_bytes: sizeBytes, sha256 };
  }
}
