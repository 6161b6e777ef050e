// One attempt: reads what the prompt needs, has it judged, has a model write or draw, has that judged, and leaves files and output.

import type { JsonObject } from '../../domain/json.ts';
import type { TaskMetrics } from '../../domain/task.ts';
import type { AttemptContext, AttemptResult } from '../../engine/ports/executor.ts';
import type { ModelMessage, ModelProvider } from '../../engine/ports/model-provider.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { PayloadCheck } from '../../engine/ports/schemas.ts';
import { metered } from '../../guards/metered.ts';
import type { Cancel, Clock } from '../../runtime/clock.ts';
import { Budget } from './budget.ts';
import { asTaskError } from './failure.ts';
import { saveObject, savePictures, saveTexts } from './files.ts';
import type { Lineup } from './lineup.ts';
import type { ContentPayload } from './payload.ts';
import type { BlockedPhrase } from './phrases.ts';
import { Policy } from './policy.ts';
import { conversationOf, textOf, valuesFor } from './prompt.ts';
import { unfenced } from './structured.ts';
import { WritingProgress } from './told.ts';
import { Tools } from './tools.ts';
import { Writing, type Written } from './writing.ts';

/** What an attempt works with. */
export interface AttemptParts {
  readonly clock: Clock;
  /** Whom to ask. */
  readonly lineup: Lineup;
  /** Who judges, whoever writes. */
  readonly moderator: ModelProvider | null;
  /** For the endpoints of tools. */
  readonly outbound: Outbound;
  readonly schemas: PayloadCheck;
  readonly blocked: readonly BlockedPhrase[];
}

/** Inline text; the artifact has all of it. */
const INLINE_CHARS_MAX = 262_144;
const NEAR = 0.8;

/** Runs the attempt to its end; rejects with the abort's reason as soon as it is told to stop. */
export async function runAttempt(
  context: AttemptContext,
  payload: ContentPayload,
  parts: AttemptParts,
): Promise<AttemptResult> {
  const { signal } = context;
  signal.throwIfAborted();
  const attempt = new Attempt(context, payload, parts);
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([attempt.run(), aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    attempt.stop();
  }
}

class Attempt {
  readonly #context: AttemptContext;
  readonly #payload: ContentPayload;
  readonly #parts: AttemptParts;
  readonly #budget: Budget;
  readonly #policy: Policy;
  readonly #progress: WritingProgress;
  readonly #startedAt: number;
  readonly #cancelTime: Cancel;
  #apiCalls = (): number => 0;

  constructor(context: AttemptContext, payload: ContentPayload, parts: AttemptParts) {
    const { max_tokens: tokensMax, max_cost: costMax, blocked_words: requested = [] } = payload;
    this.#context = context;
    this.#payload = payload;
    this.#parts = parts;
    const limits = {
      ...(tokensMax === undefined ? {} : { tokensMax }),
      ...(costMax === undefined ? {} : { costMax }),
    };
    this.#budget = new Budget(limits, context.checkpoint);
    this.#policy = new Policy(parts.blocked, requested, parts.moderator);
    this.#progress = new WritingProgress(
      parts.clock,
      report => context.report(report),
      !this.#policy.needsWhole,
    );
    this.#startedAt = parts.clock.monotonic();
    this.#cancelTime = this.#warnOfTime();
  }

  async run(): Promise<AttemptResult> {
    try {
      const output = await this.#work();
      return { status: 'completed', output, metrics: this.#metrics() };
    } catch (error) {
      const failure = asTaskError(error);
      if (failure === null || this.#context.signal.aborted) throw error;
      if (failure.recoverable) this.#context.report({ checkpoint: this.#budget.checkpoint });
      return { status: 'failed', error: failure, metrics: this.#metrics() };
    }
  }

  stop(): void {
    this.#cancelTime();
  }

  async #work(): Promise<JsonObject> {
    const { kind = 'text' } = this.#payload;
    const values = await valuesFor(this.#payload, this.#context);
    const conversation = conversationOf(this.#payload, values);
    this.#progress.step('Checking the prompt', 1);
    await this.#policy.judge(textOf(conversation), 'prompt', this.#context.signal);
    const made = kind === 'image' ? await this.#draw(conversation) : await this.#write(kind, conversation);
    const { tokens, cost, usage } = this.#budget.spent;
    return {
      kind,
      ...made,
      tokens_used: tokens,
      usage,
      cost,
      first_token_ms: this.#progress.firstTokenMs,
      moderation: { judges: this.#policy.judges, flagged: false },
    };
  }

  async #write(kind: 'text' | 'structured', conversation: readonly ModelMessage[]): Promise<JsonObject> {
    const { signal } = this.#context;
    const tools = new Tools(this.#payload.tools ?? [], {
      outbound: metered(this.#parts.outbound, this.#context.traffic),
      schemas: this.#parts.schemas,
      context: this.#context,
    });
    const { lineup, schemas } = this.#parts;
    const [budget, policy, progress] = [this.#budget, this.#policy, this.#progress];
    const writing = new Writing(this.#payload, { lineup, budget, policy, progress, tools, schemas, signal });
    this.#apiCalls = () => writing.calls;
    return kind === 'text'
      ? await this.#texts(writing, conversation)
      : await this.#object(writing, conversation, this.#payload.output_schema ?? {});
  }

  async #texts(writing: Writing, conversation: readonly ModelMessage[]): Promise<JsonObject> {
    const { n = 1, format = 'text', artifact_name: name } = this.#payload;
    const all: Written[] = [];
    while (all.length < n) all.push(await writing.converse(conversation, n - all.length));
    const texts = all.map(({ answer }) => (format === 'html' ? unfenced(answer.text) : answer.text));
    await this.#judgeResult(texts.join('\n\n'));
    const [first] = all;
    const [text = ''] = texts;
    const files = texts.every(one => one === '') ? [] : await saveTexts(texts, format, name, this.#context);
    return {
      text: text.slice(0, INLINE_CHARS_MAX),
      ...(text.length > INLINE_CHARS_MAX ? { text_truncated: true } : {}),
      ...(n === 1 ? {} : { texts: texts.map(one => one.slice(0, INLINE_CHARS_MAX / n)) }),
      format,
      ...(first === undefined ? {} : endOf(first)),
      artifacts: files,
    };
  }

  async #object(
    writing: Writing,
    conversation: readonly ModelMessage[],
    schema: JsonObject,
  ): Promise<JsonObject> {
    const { written, value, repaired } = await writing.object(conversation, schema);
    await this.#judgeResult(written.answer.text);
    if (written.openCalls.length > 0) return { ...endOf(written), artifacts: [] };
    const file = await saveObject(value, this.#payload.artifact_name, this.#context);
    return { object: value, repaired, ...endOf(written), artifacts: [file] };
  }

  async #draw(conversation: readonly ModelMessage[]): Promise<JsonObject> {
    const { signal } = this.#context;
    const { n = 1, size, model: asked, artifact_name: name } = this.#payload;
    const { lineup } = this.#parts;
    let calls = 0;
    this.#apiCalls = () => calls;
    this.#progress.step('Drawing', 5);
    const { answer, choice, fellBack } = await lineup.ask(lineup.painters(asked), signal, async one => {
      const { provider, model } = one;
      const price = provider.priceOf(model);
      this.#budget.roomForImages(n, price);
      calls++;
      const prompt = textOf(conversation);
      const drawn = await provider.draw({
        model,
        prompt,
        count: n,
        ...(size === undefined ? {} : { size }),
        signal,
      });
      this.#budget.spendImages(drawn.images.length, drawn.usage, price);
      return drawn;
    });
    this.#progress.step('Saving', 95);
    signal.throwIfAborted();
    const artifacts = await savePictures(answer.images.slice(0, n), name, this.#context);
    return {
      images: artifacts.length,
      model: choice.model,
      provider: choice.provider.name,
      fell_back: fellBack,
      finish_reason: 'stop',
      artifacts,
    };
  }

  async #judgeResult(text: string): Promise<void> {
    this.#progress.step('Checking the result', 97);
    await this.#policy.judge(text, 'result', this.#context.signal);
    // Nothing is saved of an attempt that is over.
    this.#context.signal.throwIfAborted();
  }

  #metrics(): TaskMetrics {
    const { tokens, cost } = this.#budget.spent;
    return {
      executionSeconds: (this.#parts.clock.monotonic() - this.#startedAt) / 1_000,
      apiCalls: this.#apiCalls(),
      tokensUsed: tokens,
      ...(cost === null ? {} : { cost }),
      bytesSent: this.#context.traffic.counts.bytesSent,
      bytesReceived: this.#context.traffic.counts.bytesReceived,
    };
  }

  #warnOfTime(): Cancel {
    const { lease } = this.#context.task;
    if (lease === null) return () => {};
    const limitMs = lease.deadlineAt - lease.claimedAt;
    const { clock } = this.#parts;
    return clock.after(Math.max(0, lease.claimedAt + limitMs * NEAR - clock.now()), () =>
      this.#context.warn('time', Math.round((limitMs * NEAR) / 1_000), Math.round(limitMs / 1_000)),
    );
  }
}

function endOf({ answer, provider, fellBack, steps, openCalls }: Written): JsonObject {
  return {
    model: answer.model,
    provider,
    fell_back: fellBack,
    finish_reason: answer.finishReason,
    steps,
    ...(openCalls.length === 0
      ? {}
      : { tool_calls: openCalls.map(({ id, name, input }) => ({ id, name, arguments: input })) }),
  };
}
