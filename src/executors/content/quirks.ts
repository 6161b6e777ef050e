// Dialects of one API: what a model was found not to take is learnt from its refusal, and asked for differently from then on.

import { DomainError } from '../../domain/errors.ts';

type Quirk = 'max_completion_tokens' | 'no_response_format';

/** A refusal of a request's form says which part it is about; a refusal of its content does not. */
const TOLD_BY: readonly (readonly [Quirk, RegExp])[] = [
  ['max_completion_tokens', /max_completion_tokens/],
  ['no_response_format', /response_format|json_schema/],
];

/** What is known of the models of one provider. */
export class Quirks {
  readonly #known = new Map<string, ReadonlySet<Quirk>>();

  /** True where the refusal taught something new, so that the request is worth sending again. */
  learn(model: string, error: unknown): boolean {
    if (!(error instanceof DomainError) || error.code !== 'task_failed') return false;
    const known = this.#known.get(model) ?? new Set();
    const told = TOLD_BY.find(([quirk, words]) => !known.has(quirk) && words.test(error.message));
    if (told === undefined) return false;
    this.#known.set(model, new Set([...known, told[0]]));
    return true;
  }

  /** The request's body as the model takes it. The schema of an object stands in the instructions too, and is checked here. */
  adapt(body: Readonly<Record<string, unknown>>): Record<string, unknown> {
    const known = this.#known.get(String(body.model));
    if (known === undefined) return { ...body };
    const { max_tokens: tokens, response_format: format, ...rest } = body;
    return {
      ...rest,
      [known.has('max_completion_tokens') ? 'max_completion_tokens' : 'max_tokens']: tokens,
      ...(known.has('no_response_format') ? {} : { response_format: format }),
    };
  }
}
