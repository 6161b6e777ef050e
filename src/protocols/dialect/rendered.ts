// A refusal as a call is answered with it: the wire's status and body, and when to come again.

import type { DomainError } from '../../domain/errors.ts';
import type { ErrorScene, Protocol } from '../protocol.ts';
import type { Dialect, ErrorBodyScene } from './dialect.ts';

/** The status, body and headers of an error; where no scene says which message it is about, the error may. */
export function rendered(
  dialect: Dialect,
  error: DomainError,
  scene: ErrorScene & Partial<Pick<ErrorBodyScene, 'about' | 'version'>>,
): ReturnType<Protocol['renderError']> {
  const { message_id: named } = error.details;
  const about = scene.about ?? (typeof named === 'string' ? named : null);
  const { retryAfterMs } = error;
  return {
    status: dialect.codes[error.code].status ?? 500,
    body: dialect.errorBody(error, { ...scene, about }),
    headers:
      retryAfterMs === undefined
        ? {}
        : { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1_000))) },
  };
}
