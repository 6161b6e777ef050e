// A refusal as a call is answered with it, the wire's status and body and when to come again; and as the process's log has it.

import type { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { maskPersonalData } from '../../guards/content/personal-data.ts';
import { mask } from '../../guards/mask.ts';
import type { Log } from '../../runtime/log.ts';
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

/** Writes an error that somebody was answered with into the process's log: its code, how severe the wire calls it, what it was about. */
export function logRefusal(
  log: Log,
  dialect: Pick<Dialect, 'name' | 'codes'>,
  error: DomainError,
  { traceId, ...context }: { readonly traceId: string } & JsonObject,
): void {
  // What nobody foresaw is logged with its cause where it is caught.
  if (error.code === 'internal') return;
  const { code, severity } = dialect.codes[error.code];
  log.warn('a message or request was refused', {
    protocol: dialect.name,
    code,
    ...(severity === undefined ? {} : { severity }),
    canonical: error.code,
    why: maskPersonalData(mask(error.message)),
    context,
    traceId,
  });
}
