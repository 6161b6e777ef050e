// Names of the outside as the resolver knows them, with every address judged: what the guard would not let anybody reach, nobody is told.

import { Resolver } from 'node:dns/promises';
import { DomainError } from '../../domain/errors.ts';
import { assertAddresses } from '../../guards/outbound/permission.ts';
import type { PrivateTargets } from '../../guards/outbound/targets.ts';
import type { RECORD_TYPES } from './payload.ts';

/** A kind of record. */
export type RecordType = (typeof RECORD_TYPES)[number];

/** Asks for records, as text in the order they came; rejects as `node:dns` does. */
export type LookUp = (
  hostname: string,
  record: RecordType,
  signal: AbortSignal,
) => Promise<readonly string[]>;

/** Asks the resolvers of this host, past its cache. */
export const systemLookUp: LookUp = async (hostname, record, signal) => {
  const resolver = new Resolver();
  const onAbort = (): void => resolver.cancel();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    switch (record) {
      case 'A':
        return await resolver.resolve4(hostname);
      case 'AAAA':
        return await resolver.resolve6(hostname);
      case 'CNAME':
        return await resolver.resolveCname(hostname);
      case 'NS':
        return await resolver.resolveNs(hostname);
      case 'TXT':
        return (await resolver.resolveTxt(hostname)).map(parts => parts.join(''));
      case 'MX':
        return (await resolver.resolveMx(hostname)).map(
          ({ priority, exchange }) => `${priority} ${exchange}`,
        );
      case 'SRV':
        return (await resolver.resolveSrv(hostname)).map(
          ({ priority, weight, port, name }) => `${priority} ${weight} ${port} ${name}`,
        );
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
};

/** The same, but throws `policy_violation` for a name with an address that may not be reached (`SAM-122`). */
export function guardedLookUp(lookUp: LookUp, allowed: PrivateTargets): LookUp {
  return async (hostname, record, signal) => {
    const records = await lookUp(hostname, record, signal);
    if (record === 'A' || record === 'AAAA')
      assertAddresses({ allowed, plainHttpEverywhere: false }, { hostname, plainHttp: false }, records);
    return records;
  };
}

/** What a failed lookup is called. */
export function asLookUpFault(error: unknown, hostname: string): DomainError {
  if (error instanceof DomainError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown cause';
  return new DomainError('dependency_failed', `${hostname} has no such record: ${code}`, { cause: error });
}
