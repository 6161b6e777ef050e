// Whether the server speaks TLS, by its settings.

import { DomainError } from '../domain/errors.ts';
import type { TlsFiles } from '../http/listening.ts';
import type { Log } from '../runtime/log.ts';
import type { Config } from './config.ts';

type TlsSettings = Pick<Config, 'tlsCertificate' | 'tlsKey' | 'tlsClientAuthorities'>;

/** The files to serve TLS with, none to serve in clear; throws `invalid_request` where some are missing. */
export function tlsOf({
  tlsCertificate: certificate,
  tlsKey: key,
  tlsClientAuthorities: clientAuthorities,
}: TlsSettings): { readonly tls?: TlsFiles } {
  if (certificate === null && key === null && clientAuthorities === null) return {};
  if (certificate === null || key === null)
    throw new DomainError('invalid_request', 'TLS needs both BATUTA_TLS_CERT and BATUTA_TLS_KEY', {
      details: { setting: certificate === null ? 'BATUTA_TLS_CERT' : 'BATUTA_TLS_KEY' },
    });
  return { tls: { certificate, key, ...(clientAuthorities === null ? {} : { clientAuthorities }) } };
}

/** How the server itself is reached; throws as `tlsOf`. */
export function schemeOf(settings: TlsSettings): 'http' | 'https' {
  return tlsOf(settings).tls === undefined ? 'http' : 'https';
}

/** Says so where other machines may come in clear, and nobody vouched for that. */
export function warnOfClearText(
  config: TlsSettings & Pick<Config, 'host' | 'trustedProxies' | 'allowClearText'>,
  log: Pick<Log, 'warn'>,
): void {
  const { host, trustedProxies, allowClearText } = config;
  const isOwn = ['127.0.0.1', '::1', 'localhost'].includes(host);
  if (isOwn || trustedProxies.length > 0 || allowClearText || schemeOf(config) === 'https') return;
  log.warn('serving other machines in clear text', {
    host,
    hint: 'set BATUTA_TLS_CERT and BATUTA_TLS_KEY, or BATUTA_TRUSTED_PROXIES where a proxy ends TLS',
  });
}
