// What PostgreSQL's errors mean to a caller: whether the statement may have happened, whether to try it again, and what to tell.

import { DatabaseError } from 'pg';
import { DomainError } from '../../domain/errors.ts';

/**
 * What became of a statement that failed: `undone` surely did not happen and may be tried again, `unknown` may have happened (the
 * connection broke before its answer), `refused` did not happen and never will.
 */
export type Fate = 'undone' | 'unknown' | 'refused';

/** The database itself says that it took the transaction back for reasons of the moment. */
const UNDONE = new Set([
  '40001', // serialization failure
  '40P01', // deadlock
  '55P03', // lock timeout
  '53300', // too many connections
]);

/** The database is leaving, or the connection is: nobody knows how far the statement came. */
const LEAVING = new Set([
  '57P01',
  '57P02',
  '57P03',
  '57P05',
  '08000',
  '08001',
  '08003',
  '08004',
  '08006',
  '08P01',
]);

/** Reasons that are the database's, not the statement's. */
const AT_FAULT: Readonly<Record<string, string>> = {
  '25006': 'the database is read-only; point BATUTA_DATABASE_URL at the primary',
  '28000':
    'the database refuses this user, or to be reached without TLS; check BATUTA_DATABASE_URL and its sslmode',
  '28P01': 'the database refuses this password; check BATUTA_DATABASE_URL',
  '3D000': 'there is no such database; create it, or correct BATUTA_DATABASE_URL',
  '42501': 'this user may not do that; it needs to own the schema batuta',
  '53100': 'the disk is full; free some space',
  '53200': 'the database is out of memory',
  '53300':
    'the database takes no more connections; raise max_connections or lower BATUTA_DATABASE_CONNECTIONS',
  '55P03': 'a lock was not to be had in time',
  '57014': 'the statement took too long',
};

/** What OpenSSL and Node call a certificate that was not accepted, and what of the URL decides that. */
const UNTRUSTED: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'is not from the CA of sslrootcert',
  SELF_SIGNED_CERT_IN_CHAIN: 'is not from the CA of sslrootcert',
  UNABLE_TO_GET_ISSUER_CERT: 'is not from the CA of sslrootcert',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'is not from the CA of sslrootcert',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'is not from the CA of sslrootcert',
  CERT_SIGNATURE_FAILURE: 'is not from the CA of sslrootcert',
  CERT_HAS_EXPIRED: 'has expired, or that of its CA in sslrootcert has',
  CERT_NOT_YET_VALID: 'is not valid yet, or this machine’s clock is wrong',
  ERR_TLS_CERT_ALTNAME_INVALID: 'is for another host than the URL names, as sslmode=verify-full noticed',
};
/** All that pg says of a server without TLS. */
const NO_TLS = 'The server does not support SSL connections';

/** What became of a statement that ended in this error. */
export function fateOf(error: unknown): Fate {
  if (!(error instanceof DatabaseError) || error.code === undefined) return 'unknown';
  if (UNDONE.has(error.code)) return 'undone';
  return LEAVING.has(error.code) ? 'unknown' : 'refused';
}

/** The error as the port promises it: `unavailable` with a hint where the database is at fault, else the error itself. */
export function storeError(error: unknown): unknown {
  if (error instanceof DomainError) return error;
  const code = error instanceof DatabaseError ? (error.code ?? '') : '';
  const hint = AT_FAULT[code] ?? tlsFault(error);
  if (hint === undefined && fateOf(error) === 'refused') return error;
  return new DomainError(
    'unavailable',
    `the store is unavailable: ${hint ?? 'the database cannot be reached'}`,
    {
      details: { ...(code !== '' && { sqlstate: code }) },
      cause: error,
    },
  );
}

function tlsFault(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error.message === NO_TLS) return 'it does not offer TLS, which sslmode in BATUTA_DATABASE_URL asks for';
  const fault = UNTRUSTED[('code' in error && String(error.code)) || ''];
  return fault === undefined
    ? undefined
    : `the database’s certificate ${fault}; check BATUTA_DATABASE_URL (${error.message})`;
}
