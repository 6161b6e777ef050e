// A model provider that speaks OpenAI's API, through the AI SDK. The SDK is loaded at the first call: most servers never make one.

import type { LanguageModelV4CallOptions } from '@ai-sdk/provider';
import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type Json } from '../../domain/json.ts';
import type {
  ImageAnswer,
  ImageRequest,
  ModelPrice,
  ModelProvider,
  ModelToolCall,
  ModerationAnswer,
  TextAnswer,
  TextRequest,
} from '../../engine/ports/model-provider.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import { mask } from '../../guards/mask.ts';
import type { Clock } from '../../runtime/clock.ts';
import { type ClientLimits, createClient } from './client.ts';
import { asProviderError, nameOf, optionsOf, reasonOf, toolCallOf, usageOf } from './conversion.ts';

import { Quirks } from './quirks.ts';

/** One provider as the operator set it up. */
export interface ProviderSettings {
  /** How results and logs call it. */
  readonly name: string;
  /** Where its API begins, as `https://api.example.com/v1`. */
  readonly baseUrl: string;
  readonly key: string | null;
  /** The default model first; `*` among them lets callers name any. */
  readonly models: readonly string[];
  readonly imageModel: string | null;
  readonly moderationModel: string | null;
  readonly prices: Readonly<Record<string, ModelPrice>>;
}

/** What a provider is reached with. */
export interface ProviderParts {
  readonly clock: Clock;
  /** Lets through to the provider's own address, private or not; stopped with the provider. */
  readonly outbound: Outbound;
  /** For addresses a provider names. */
  readonly elsewhere: Outbound;
  readonly limits?: Partial<ClientLimits>;
}

const LIMITS: ClientLimits = {
  timeoutMs: 1_800_000,
  silenceMs: 120_000,
  // Ten pictures of 4 MB in Base64, or more text than any model writes.
  answerBytesMax: 64 * 1_024 * 1_024,
};
/** What of a conversation a moderation model is shown at once. */
const MODERATED_CHARS_MAX = 100_000;
const ANY = '*';

/** The provider; nothing is contacted before its first call. */
export function createOpenAiProvider(settings: ProviderSettings, parts: ProviderParts): ModelProvider {
  return new OpenAiProvider(settings, parts);
}

type Sdk = ReturnType<typeof import('@ai-sdk/openai-compatible')['createOpenAICompatible']>;

class OpenAiProvider implements ModelProvider {
  readonly name: string;
  readonly models: readonly string[];
  readonly anyModel: boolean;
  readonly imageModel: string | null;
  readonly moderationModel: string | null;
  readonly #settings: ProviderSettings;
  readonly #outbound: Outbound;
  readonly #fetch: typeof globalThis.fetch;
  readonly #quirks = new Quirks();
  #sdk: Promise<Sdk> | null = null;

  constructor(settings: ProviderSettings, { clock, outbound, elsewhere, limits }: ProviderParts) {
    this.name = settings.name;
    this.models = settings.models.filter(model => model !== ANY);
    this.anyModel = settings.models.includes(ANY);
    this.imageModel = settings.imageModel;
    this.moderationModel = settings.moderationModel;
    this.#settings = settings;
    this.#outbound = outbound;
    const secrets = settings.key === null ? [] : [settings.key];
    this.#fetch = createClient({
      clock,
      outbound,
      elsewhere,
      baseUrl: settings.baseUrl,
      limits: { ...LIMITS, ...limits },
      mask: text => mask(text, secrets),
    });
  }

  async start(): Promise<void> {}

  stop(): Promise<void> {
    return this.#outbound.stop();
  }

  priceOf(model: string): ModelPrice | null {
    return Object.hasOwn(this.#settings.prices, model) ? (this.#settings.prices[model] ?? null) : null;
  }

  async generate(request: TextRequest): Promise<TextAnswer> {
    const { model, stream } = request;
    const { chatModel } = await this.#load();
    const asked = optionsOf(request);
    try {
      return stream
        ? await streamed(chatModel(model), asked, request)
        : await whole(chatModel(model), asked, request);
    } catch (error) {
      const told = asProviderError(error, request.signal);
      if (this.#quirks.learn(model, told)) return await this.generate(request);
      throw told;
    }
  }

  async draw({ model, prompt, count, size, signal }: ImageRequest): Promise<ImageAnswer> {
    const { imageModel } = await this.#load();
    try {
      const { images, usage } = await imageModel(model).doGenerate({
        prompt,
        n: count,
        size: size as `${number}x${number}` | undefined,
        aspectRatio: undefined,
        seed: undefined,
        files: undefined,
        mask: undefined,
        providerOptions: {},
        abortSignal: signal,
      });
      return {
        images: images.map(one => (typeof one === 'string' ? Buffer.from(one, 'base64') : one)),
        usage:
          usage?.totalTokens === undefined && usage?.outputTokens === undefined
            ? null
            : {
                inputTokens: usage.inputTokens ?? 0,
                outputTokens: usage.outputTokens ?? 0,
                estimated: false,
              },
      };
    } catch (error) {
      throw asProviderError(error, signal);
    }
  }

  async moderate(text: string, signal: AbortSignal): Promise<ModerationAnswer> {
    const categories = new Set<string>();
    let flagged = false;
    for (let from = 0; from < text.length; from += MODERATED_CHARS_MAX) {
      const answer = await this.#moderatePart(text.slice(from, from + MODERATED_CHARS_MAX), signal);
      flagged ||= answer.flagged;
      for (const category of answer.categories) categories.add(category);
    }
    return { flagged, categories: [...categories] };
  }

  /** The SDK has no moderation: the request is plain, the way out is the same. */
  async #moderatePart(input: string, signal: AbortSignal): Promise<ModerationAnswer> {
    const { baseUrl, key, moderationModel } = this.#settings;
    let body: Json;
    try {
      const response = await this.#fetch(`${baseUrl}/moderations`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        },
        body: JSON.stringify({ model: moderationModel, input }),
        signal,
      });
      body = (await response.json()) as Json;
    } catch (error) {
      throw asProviderError(error, signal);
    }
    const results =
      isJsonObject(body) && Array.isArray(body.results) ? body.results.filter(isJsonObject) : [];
    if (results.length === 0 || results.some(({ flagged }) => typeof flagged !== 'boolean'))
      throw new DomainError('dependency_failed', 'the moderation endpoint answers something else');
    return {
      flagged: results.some(({ flagged }) => flagged === true),
      categories: results.flatMap(({ categories }) =>
        isJsonObject(categories ?? null)
          ? Object.entries(categories as Record<string, Json>).flatMap(([name, hit]) =>
              hit === true ? [name] : [],
            )
          : [],
      ),
    };
  }

  #load(): Promise<Sdk> {
    this.#sdk ??= import('@ai-sdk/openai-compatible').then(({ createOpenAICompatible }) =>
      createOpenAICompatible({
        name: 'model',
        baseURL: this.#settings.baseUrl,
        ...(this.#settings.key === null ? {} : { apiKey: this.#settings.key }),
        fetch: this.#fetch,
        includeUsage: true,
        supportsStructuredOutputs: true,
        transformRequestBody: body => this.#quirks.adapt(body),
      }),
    );
    return this.#sdk;
  }
}

type LanguageModel = ReturnType<Sdk['chatModel']>;

async function whole(
  model: LanguageModel,
  options: LanguageModelV4CallOptions,
  request: TextRequest,
): Promise<TextAnswer> {
  const { content, finishReason, usage, response } = await model.doGenerate(options);
  const text = content.flatMap(part => (part.type === 'text' ? [part.text] : [])).join('');
  const toolCalls = content.flatMap(part => (part.type === 'tool-call' ? [toolCallOf(part)] : []));
  for (const part of content) if (part.type === 'reasoning') request.onAside?.(part.text);
  for (const { input } of toolCalls) request.onAside?.(input);
  if (text !== '') request.onText?.(text);
  return {
    text,
    toolCalls,
    finishReason: reasonOf(finishReason.unified),
    model: nameOf(response?.modelId, request),
    usage: usageOf(usage, request, text),
  };
}

async function streamed(
  model: LanguageModel,
  options: LanguageModelV4CallOptions,
  request: TextRequest,
): Promise<TextAnswer> {
  const { stream } = await model.doStream(options);
  const pieces: string[] = [];
  const toolCalls: ModelToolCall[] = [];
  let named: string | undefined;
  // Leaving the loop early cancels the stream, and with it the request.
  for await (const part of stream) {
    switch (part.type) {
      case 'text-delta':
        pieces.push(part.delta);
        request.onText?.(part.delta);
        break;
      case 'reasoning-delta':
      case 'tool-input-delta':
        request.onAside?.(part.delta);
        break;
      case 'tool-call':
        toolCalls.push(toolCallOf(part));
        break;
      case 'response-metadata':
        named = part.modelId;
        break;
      case 'error':
        throw part.error;
      case 'finish': {
        const text = pieces.join('');
        const finishReason = reasonOf(part.finishReason.unified);
        return {
          text,
          toolCalls,
          finishReason,
          model: nameOf(named, request),
          usage: usageOf(part.usage, request, text),
        };
      }
    }
  }
  throw new DomainError('dependency_failed', 'the stream of the model provider broke off');
}
