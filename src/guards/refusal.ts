// Why a credential was refused: a reason for the audit, and what the caller may know of it, which is less.

import { DomainError } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';

/** What is known of a refused attempt; `principal` and `keyId` only where they are proven or public. */
export interface RefusalTerms {
  /** `unauthenticated` unless said otherwise. */
  readonly code?: 'unauthenticated' | 'forbidden' | 'rate_limited';
  /** For the caller; a 401 always says the same. */
  readonly message?: string;
  readonly tenant?: TenantId;
  readonly principal?: string;
  readonly keyId?: string;
  readonly retryAfterMs?: number;
}

/** Thrown by whoever checks a credential; the authenticator audits it and answers `toError()`. */
export class Refusal extends Error {
  readonly reason: string;
  readonly terms: RefusalTerms;

  constructor(reason: string, terms: RefusalTerms = {}) {
    super(reason);
    this.name = 'Refusal';
    this.reason = reason;
    this.terms = terms;
  }

  /** The same with more known of it; what was known stays. */
  with(terms: RefusalTerms): Refusal {
    return new Refusal(this.reason, { ...terms, ...this.terms });
  }

  /** What the caller is told: never whether the key, the secret or the signature was wrong (`SAM-8`). */
  toError(): DomainError {
    const { code = 'unauthenticated', message, retryAfterMs } = this.terms;
    if (code === 'unauthenticated')
      return new DomainError(code, 'a valid credential is needed', { details: this.#tellable() });
    const details: JsonObject = { rule: this.reason };
    const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
    return new DomainError(code, message ?? this.reason, { details, ...wait });
  }

  /** That there was no credential, or that a proven one has expired, helps nobody who guesses. */
  #tellable(): JsonObject {
    if (this.reason === 'no_credential') return { credential: 'absent' };
    return this.reason === 'expired' ? { credential: 'expired' } : {};
  }
}
