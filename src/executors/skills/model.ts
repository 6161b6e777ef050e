// What a language model does where one is configured: write, summarize, talk, and look at what others wrote (`BLOG-30`). What it answers is
// taken as text, and what fails on its side says whether trying again may help.

import { asDomainError, DomainError, ERROR_CODES } from '../../domain/errors.ts';
import type { ModelMessage, ModelProvider } from '../../engine/ports/model-provider.ts';

/** How a model is asked. */
export interface Asking {
  readonly signal: AbortSignal;
  readonly model?: string;
  readonly temperature?: number;
}

const TOKENS_MAX = 4_000;

/** A skill that failed through what it depends on. */
export class SkillFailure extends DomainError {
  readonly isRecoverable: boolean;

  constructor(cause: DomainError) {
    super('task_failed', cause.message, { details: { cause: cause.code }, cause });
    this.isRecoverable = ERROR_CODES[cause.code].retry === 'yes';
  }
}

/** The models of a server, the first choice first. */
export class Models {
  readonly #writer: ModelProvider | null;
  readonly #moderator: ModelProvider | null;

  constructor(providers: readonly ModelProvider[]) {
    this.#writer = providers.find(one => one.models.length > 0) ?? null;
    this.#moderator = providers.find(one => one.moderationModel !== null) ?? null;
  }

  /** What it writes; null without a model; throws `SkillFailure`. */
  async write(
    messages: readonly ModelMessage[],
    { signal, model, temperature }: Asking,
  ): Promise<string | null> {
    const writer = this.#writer;
    if (writer === null) return null;
    const named =
      model !== undefined && (writer.anyModel || writer.models.includes(model)) ? model : writer.models[0];
    return failing(async () => {
      const { text } = await writer.generate({
        ...{ model: named ?? '', messages, outputTokensMax: TOKENS_MAX, stream: false, signal },
        ...(temperature === undefined ? {} : { temperature }),
      });
      if (text.trim() === '') throw new DomainError('dependency_failed', 'the model wrote nothing');
      return text.trim();
    }, signal);
  }

  /** What it has against a text; null without a moderation model; throws `SkillFailure`. */
  async moderate(
    text: string,
    signal: AbortSignal,
  ): Promise<{ readonly flagged: boolean; readonly categories: readonly string[] } | null> {
    const moderator = this.#moderator;
    return moderator === null ? null : failing(() => moderator.moderate(text, signal), signal);
  }
}

async function failing<Answer>(ask: () => Promise<Answer>, signal: AbortSignal): Promise<Answer> {
  try {
    return await ask();
  } catch (error) {
    if (signal.aborted) throw error;
    const known = asDomainError(error);
    throw known.code === 'internal' ? error : new SkillFailure(known);
  }
}
