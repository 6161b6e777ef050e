// Conversations with a model: each call asked of the lineup within budget and policy, tools called between, an object mended once.

import { DomainError } from '../../domain/errors.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { ModelMessage, ModelToolCall, TextAnswer } from '../../engine/ports/model-provider.ts';
import type { PayloadCheck } from '../../engine/ports/schemas.ts';
import type { Budget } from './budget.ts';
import { FinalError } from './failure.ts';
import type { Choice, Lineup } from './lineup.ts';
import type { ContentPayload } from './payload.ts';
import { type Policy, violation } from './policy.ts';
import { textOf } from './prompt.ts';
import { judgeObject, repairOf } from './structured.ts';
import { estimateTokens } from './tokens.ts';
import type { WritingProgress } from './told.ts';
import type { Tools } from './tools.ts';

const STEPS_MAX_DEFAULT = 5;
const TOOL_CALLS_A_STEP_MAX = 20;
const ANSWER_SHOWN_CHARS = 2_000;

/** What a conversation needs around it. */
export interface WritingParts {
  readonly lineup: Lineup;
  readonly budget: Budget;
  readonly policy: Policy;
  readonly progress: WritingProgress;
  readonly tools: Tools;
  readonly schemas: PayloadCheck;
  readonly signal: AbortSignal;
}

/** How a conversation ended. */
export interface Written {
  readonly answer: TextAnswer;
  readonly provider: string;
  readonly fellBack: boolean;
  readonly steps: number;
  /** Calls of tools the requester makes itself. */
  readonly openCalls: readonly ModelToolCall[];
}

/** Conducts the conversations of one task. */
export class Writing {
  readonly #payload: ContentPayload;
  readonly #parts: WritingParts;
  readonly #choices: readonly Choice[];
  #calls = 0;

  /** Throws `unprocessable` where nobody offers the model asked for. */
  constructor(payload: ContentPayload, parts: WritingParts) {
    this.#payload = payload;
    this.#parts = parts;
    this.#choices = parts.lineup.writers(payload.model);
  }

  /** Calls made of models and tools. */
  get calls(): number {
    return this.#calls;
  }

  /** Goes on until the model has answered; `share` is among how many conversations what is left of the budget is shared. */
  async converse(conversation: readonly ModelMessage[], share = 1): Promise<Written> {
    const { max_steps: stepsMax = STEPS_MAX_DEFAULT } = this.#payload;
    const said = [...conversation];
    for (let step = 1; step <= stepsMax; step++) {
      const { answer, choice, fellBack } = await this.#ask(said, step, share);
      const { toolCalls } = answer;
      const openCalls = toolCalls.filter(({ name }) => this.#parts.tools.isForeign(name));
      if (toolCalls.length === 0 || openCalls.length > 0)
        return { answer, provider: choice.provider.name, fellBack, steps: step, openCalls };
      said.push({ role: 'assistant', text: answer.text, toolCalls }, ...(await this.#useTools(toolCalls)));
    }
    throw new FinalError('resource_exhausted', `the model still asks for tools after ${stepsMax} steps`, {
      details: { resource: 'steps', limit: stepsMax },
    });
  }

  /** An object that matches the schema, after at most one repair; throws `task_failed` with what is wrong otherwise. */
  async object(
    conversation: readonly ModelMessage[],
    schema: JsonObject,
  ): Promise<{ readonly written: Written; readonly value: Json; readonly repaired: boolean }> {
    const first = await this.converse(conversation);
    if (first.openCalls.length > 0) return { written: first, value: null, repaired: false };
    const verdict = await judgeObject(first.answer.text, schema, this.#parts.schemas);
    if (verdict.fits) return { written: first, value: verdict.value, repaired: false };
    const again: readonly ModelMessage[] = [
      ...conversation,
      { role: 'assistant', text: first.answer.text },
      { role: 'user', text: repairOf(verdict.errors) },
    ];
    const second = await this.converse(again);
    const mended = await judgeObject(second.answer.text, schema, this.#parts.schemas);
    if (mended.fits) return { written: second, value: mended.value, repaired: true };
    throw new FinalError('task_failed', 'the answer does not match output_schema, nor does its repair', {
      details: {
        errors: mended.errors,
        finish_reason: second.answer.finishReason,
        answer: second.answer.text.slice(0, ANSWER_SHOWN_CHARS),
      },
    });
  }

  async #ask(said: readonly ModelMessage[], step: number, share: number) {
    const { lineup, signal } = this.#parts;
    const asked = await lineup.ask(this.#choices, signal, choice => this.#call(choice, said, step, share));
    const { finishReason } = asked.answer;
    if (finishReason === 'content_filter')
      throw violation('result', 'content_filter', asked.choice.provider.name, {});
    return asked;
  }

  async #call({ provider, model }: Choice, said: readonly ModelMessage[], step: number, share: number) {
    const { budget, policy, progress, tools, signal } = this.#parts;
    const { temperature, seed, output_schema: schema, stream = true } = this.#payload;
    const price = provider.priceOf(model);
    const inputTokens = estimateTokens(textOf(said));
    const outputTokensMax = budget.room(inputTokens, price, share);
    progress.begin(step === 1 ? 'Generating' : `Generating, step ${step}`, outputTokensMax);
    const [budgetWatch, policyWatch] = [budget.watch(outputTokensMax), policy.watch()];
    const written: string[] = [];
    this.#calls++;
    try {
      const answer = await provider.generate({
        model,
        messages: said,
        outputTokensMax,
        ...(temperature === undefined ? {} : { temperature }),
        ...(seed === undefined ? {} : { seed }),
        ...(schema === undefined ? {} : { schema }),
        tools: tools.offered,
        stream,
        signal,
        onText: piece => {
          written.push(piece);
          budgetWatch(piece);
          policyWatch(piece);
          if (stream) progress.wrote(piece);
        },
        onAside: piece => {
          written.push(piece);
          budgetWatch(piece);
        },
      });
      budget.spend(answer.usage, price);
      return answer;
    } catch (error) {
      // What was written before it broke off is paid for all the same.
      if (written.length > 0)
        budget.spend({ inputTokens, outputTokens: estimateTokens(written.join('')), estimated: true }, price);
      throw error;
    }
  }

  async #useTools(calls: readonly ModelToolCall[]): Promise<readonly ModelMessage[]> {
    const results: ModelMessage[] = [];
    for (const [index, call] of calls.entries()) {
      this.#parts.signal.throwIfAborted();
      if (index >= TOOL_CALLS_A_STEP_MAX)
        throw new DomainError('resource_exhausted', 'the model asks for too many tools at once');
      this.#calls++;
      results.push({
        role: 'tool',
        callId: call.id,
        name: call.name,
        result: await this.#parts.tools.call(call),
      });
    }
    return results;
  }
}
