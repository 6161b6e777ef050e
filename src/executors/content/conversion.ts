// Between the port's words and the AI SDK's: requests, answers, errors. Pure.

import type {
  LanguageModelV4CallOptions,
  LanguageModelV4Prompt,
  LanguageModelV4Usage,
} from '@ai-sdk/provider';
import { DomainError } from '../../domain/errors.ts';
import type { Json } from '../../domain/json.ts';
import type {
  FinishReason,
  ModelMessage,
  ModelToolCall,
  ModelUsage,
  TextRequest,
} from '../../engine/ports/model-provider.ts';
import { readForeign } from './foreign.ts';
import { estimateTokens } from './tokens.ts';

const NAME_CHARS_MAX = 200;
const TOKENS_CREDIBLE_MAX = 1_000_000_000;

/** A request in the words of the SDK. */
export function optionsOf(request: TextRequest): LanguageModelV4CallOptions {
  const { messages, outputTokensMax, temperature, seed, schema, tools, signal } = request;
  return {
    prompt: messages.map(messageOf),
    maxOutputTokens: outputTokensMax,
    ...(temperature === undefined ? {} : { temperature }),
    ...(seed === undefined ? {} : { seed }),
    ...(schema === undefined
      ? {}
      : {
          responseFormat: { type: 'json', name: 'answer', schema },
          // Strict schemas are a dialect of their own; answers are checked here against the requester's.
          providerOptions: { openaiCompatible: { strictJsonSchema: false } },
        }),
    ...(tools === undefined || tools.length === 0
      ? {}
      : {
          tools: tools.map(({ name, description, parameters }) => ({
            type: 'function' as const,
            name,
            description,
            inputSchema: parameters,
          })),
        }),
    abortSignal: signal,
  };
}

function messageOf(message: ModelMessage): LanguageModelV4Prompt[number] {
  switch (message.role) {
    case 'system':
      return { role: 'system', content: message.text };
    case 'user':
      return { role: 'user', content: [{ type: 'text', text: message.text }] };
    case 'assistant':
      return {
        role: 'assistant',
        content: [
          ...(message.text === '' ? [] : [{ type: 'text' as const, text: message.text }]),
          ...(message.toolCalls ?? []).map(({ id, name, input }) => ({
            type: 'tool-call' as const,
            toolCallId: id,
            toolName: name,
            input: parsedOrText(input),
          })),
        ],
      };
    case 'tool':
      return {
        role: 'tool',
        content: [
          {
            type: 'tool-result',
            toolCallId: message.callId,
            toolName: message.name,
            output: { type: 'text', value: JSON.stringify(message.result) },
          },
        ],
      };
  }
}

function parsedOrText(text: string): Json {
  const read = readForeign(text);
  return 'wrong' in read ? text : read.value;
}

/** A call of a tool in the words of the port. */
export function toolCallOf(part: { toolCallId: string; toolName: string; input: string }): ModelToolCall {
  return {
    id: part.toolCallId.slice(0, NAME_CHARS_MAX),
    name: part.toolName.slice(0, NAME_CHARS_MAX),
    input: part.input ?? '',
  };
}

/** Why a model stopped; what the SDK has no word for is `other`. */
export function reasonOf(unified: string): FinishReason {
  switch (unified) {
    case 'stop':
    case 'length':
      return unified;
    case 'content-filter':
      return 'content_filter';
    case 'tool-calls':
      return 'tool_calls';
    default:
      return 'other';
  }
}

/** What the model calls itself, within reason. */
export function nameOf(told: string | undefined, { model }: TextRequest): string {
  return told === undefined || told === '' ? model : told.slice(0, NAME_CHARS_MAX);
}

/** Tokens as the provider counted them, or as they are guessed from the texts where it did not. */
export function usageOf(
  { inputTokens, outputTokens }: LanguageModelV4Usage,
  { messages }: TextRequest,
  text: string,
): ModelUsage {
  const [input, output] = [counted(inputTokens.total), counted(outputTokens.total)];
  return {
    inputTokens: input ?? estimateTokens(JSON.stringify(messages)),
    outputTokens: output ?? estimateTokens(text),
    estimated: input === undefined || output === undefined,
  };
}

/** A provider's word is no more to be trusted than a model's. */
function counted(tokens: number | undefined): number | undefined {
  return tokens !== undefined && tokens >= 0 && tokens <= TOKENS_CREDIBLE_MAX
    ? Math.floor(tokens)
    : undefined;
}

/** What went wrong, in the house's words: the SDK wraps errors of the way out, and its own say that the answer made no sense. */
export function asProviderError(error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  for (let at: unknown = error; at instanceof Error; at = at.cause) if (at instanceof DomainError) return at;
  return new DomainError('dependency_failed', 'the model provider sent an answer that makes no sense', {
    cause: error,
    details: { reason: error instanceof Error ? error.name : 'error in the stream' },
  });
}
