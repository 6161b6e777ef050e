// Whether the server speaks TLS, by its settings.

import { DomainError } from '../domain/errors.ts';
import type { TlsFiles } from '../http/listening.ts';
import type { Config } from './config.ts';

/** The files to serve TLS with, null to serve in clear; throws `invalid_request` where some are missing. */
export function tlsOf({
  tlsCertificate: certificate,
  tlsKey: key,
  tlsClientAuthorities: clientAuthorities,
}: Pick<Config, 'tlsCertificate' | 'tlsKey' | 'tlsClientAuthorities'>): TlsFiles | null {
  if (certificate === null && key === null && clientAuthorities === null) return null;
  if (certificate === null || key === null)
    throw new DomainError('invalid_request', 'TLS needs both BATUTA_TLS_CERT and BATUTA_TLS_KEY', {
      details: { setting: certificate === null ? 'BATUTA_TLS_CERT' : 'BATUTA_TLS_KEY' },
    });
  return { certificate, key, ...(clientAuthorities === null ? {} : { clientAuthorities }) };
}
