// What the engine needs from whoever runs language and image models: one call at a time. Which provider to ask, what a task may
// spend and what may be said are decided above.

import type { Json, JsonObject } from '../../domain/json.ts';
import type { Service } from '../../runtime/service.ts';

/** A call of a tool as the model wrote it: `input` is text that should be JSON, and nothing of it is to be trusted. */
export interface ModelToolCall {
  readonly id: string;
  readonly name: string;
  readonly input: string;
}

/** One message of a conversation. */
export type ModelMessage =
  | { readonly role: 'system' | 'user'; readonly text: string }
  | { readonly role: 'assistant'; readonly text: string; readonly toolCalls?: readonly ModelToolCall[] }
  | { readonly role: 'tool'; readonly callId: string; readonly name: string; readonly result: Json };

/** A tool a model may ask for. */
export interface ModelTool {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of its input. */
  readonly parameters: JsonObject;
}

/** Tokens of one call; `estimated` where the provider did not count them. */
export interface ModelUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly estimated: boolean;
}

/** One call of a language model. */
export interface TextRequest {
  readonly model: string;
  readonly messages: readonly ModelMessage[];
  readonly outputTokensMax: number;
  readonly temperature?: number;
  readonly seed?: number;
  /** Asks for JSON of this schema; the answer is not checked against it. */
  readonly schema?: JsonObject;
  readonly tools?: readonly ModelTool[];
  /** Whether the answer shall come piece by piece. */
  readonly stream: boolean;
  readonly signal: AbortSignal;
  /** Told each piece of the answer as it comes; throws to stop the call. */
  readonly onText?: (piece: string) => void;
  /** Told what is written beside the answer, thoughts and calls of tools; throws to stop the call. */
  readonly onAside?: (piece: string) => void;
}

/** Why a model stopped. */
export type FinishReason = 'stop' | 'length' | 'content_filter' | 'tool_calls' | 'other';

/** What a language model answered. */
export interface TextAnswer {
  readonly text: string;
  readonly toolCalls: readonly ModelToolCall[];
  readonly finishReason: FinishReason;
  /** As the provider names it, else as it was asked for. */
  readonly model: string;
  readonly usage: ModelUsage;
}

/** One call of an image model. */
export interface ImageRequest {
  readonly model: string;
  readonly prompt: string;
  readonly count: number;
  /** Width and height in pixels, as `1024x1024`; the model's own when absent. */
  readonly size?: string;
  readonly signal: AbortSignal;
}

/** What an image model answered. */
export interface ImageAnswer {
  readonly images: readonly Uint8Array[];
  readonly usage: ModelUsage | null;
}

/** What a moderation model says of a text; categories in the provider's words. */
export interface ModerationAnswer {
  readonly flagged: boolean;
  readonly categories: readonly string[];
}

/** What a model costs, in the operator's currency: per million tokens, or per image. */
export type ModelPrice =
  | { readonly inputPerMillion: number; readonly outputPerMillion: number }
  | { readonly perImage: number };

/**
 * Runs models. Calls throw `DomainError`: `rate_limited` with `retryAfterMs`, `dependency_failed`, `upstream_timeout`, `circuit_open`
 * and `unavailable` where another provider or another time may help; `unprocessable` where the key or the model is refused;
 * `task_failed` where the request is; `payload_too_large`; or the signal's reason once it aborts.
 */
export interface ModelProvider extends Service {
  readonly name: string;
  /** Language models callers may name, the default first; with `anyModel` these are examples. */
  readonly models: readonly string[];
  readonly anyModel: boolean;
  readonly imageModel: string | null;
  readonly moderationModel: string | null;
  /** Null where the operator set none. */
  priceOf(model: string): ModelPrice | null;
  generate(request: TextRequest): Promise<TextAnswer>;
  draw(request: ImageRequest): Promise<ImageAnswer>;
  moderate(text: string, signal: AbortSignal): Promise<ModerationAnswer>;
}
