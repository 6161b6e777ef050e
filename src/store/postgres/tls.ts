// What a database's URL says about TLS, in libpq's words and with their meaning. The library that connects reads some of them
// otherwise (`require` as `verify-full`) and takes others from its own environment, so it is told the outcome alone.

import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { DomainError } from '../../domain/errors.ts';

/** Certificates and keys in PEM, and what is not checked; false for no TLS. */
export type Tls =
  | false
  | Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'rejectUnauthorized' | 'checkServerIdentity'>;

/** How a connection is made. */
export interface Reach {
  /** Says nothing of TLS any more. */
  readonly connectionString: string;
  readonly ssl: Tls;
  readonly sslnegotiation?: 'direct';
}

const MODES = ['disable', 'require', 'verify-ca', 'verify-full'] as const;
type Mode = (typeof MODES)[number];

const PARAMETERS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'sslnegotiation', 'ssl'] as const;
type Said = Readonly<Partial<Record<(typeof PARAMETERS)[number], string>>>;

/**
 * Takes apart what the URL says; throws `invalid_request` for a word that is not known and for a file that cannot be read. A URL that
 * says nothing of TLS has none; `sslrootcert=system` means the CAs that Node knows, and so does `verify-full` without a CA.
 */
export function reachBy(url: string): Reach {
  const [place = '', query = ''] = url.split(/\?(.*)/s, 2);
  const parameters = new URLSearchParams(query);
  const said: Said = Object.fromEntries(PARAMETERS.map(name => [name, parameters.get(name) || undefined]));
  for (const name of PARAMETERS) parameters.delete(name);
  const connectionString = parameters.size === 0 ? place : `${place}?${parameters}`;
  const mode = modeOf(said);
  if (mode === 'disable') return { connectionString, ssl: false };
  return {
    connectionString,
    ssl: { ...filesOf(said), ...checksOf(mode, ownRoot(said)) },
    ...(said.sslnegotiation === 'direct' && { sslnegotiation: 'direct' }),
  };
}

/** Whether the connection is encrypted to whoever answers: somebody in between could pose as the database. */
export function trustsAnybody(url: string): boolean {
  const { ssl } = reachBy(url);
  return ssl !== false && ssl.rejectUnauthorized === false;
}

function modeOf({ sslmode, ssl, sslrootcert, sslcert, sslnegotiation }: Said): Mode {
  if (sslmode === undefined) {
    if (ssl === 'false' || ssl === '0') return 'disable';
    // Whoever asks for TLS and no more gets all of it.
    const wants = [ssl, sslrootcert, sslcert, sslnegotiation].some(one => one !== undefined);
    return wants ? 'verify-full' : 'disable';
  }
  const mode = MODES.find(one => one === sslmode);
  if (mode !== undefined) return mode;
  throw wrong(`sslmode=${sslmode} is not offered`, `it is one of ${MODES.join(', ')}`);
}

function ownRoot({ sslrootcert }: Said): string | null {
  return sslrootcert === undefined || sslrootcert === 'system' ? null : sslrootcert;
}

function filesOf(said: Said): Exclude<Tls, false> {
  const root = ownRoot(said);
  return {
    ...(root !== null && { ca: pem('sslrootcert', root) }),
    ...(said.sslcert !== undefined && { cert: pem('sslcert', said.sslcert) }),
    ...(said.sslkey !== undefined && { key: pem('sslkey', said.sslkey) }),
  };
}

function checksOf(mode: Exclude<Mode, 'disable'>, root: string | null): Exclude<Tls, false> {
  if (mode === 'verify-full') return {};
  // As libpq has it, `require` with a CA is `verify-ca`.
  if (root !== null) return { checkServerIdentity: () => undefined };
  if (mode === 'require') return { rejectUnauthorized: false };
  throw wrong('sslmode=verify-ca needs a CA of your own', 'name it by sslrootcert, or use verify-full');
}

function pem(parameter: 'sslrootcert' | 'sslcert' | 'sslkey', path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw wrong(`${parameter}=${path} cannot be read`, 'it is a file in PEM on this machine', cause);
  }
}

function wrong(what: string, hint: string, cause?: unknown): DomainError {
  return new DomainError('invalid_request', `BATUTA_DATABASE_URL: ${what}; ${hint}`, {
    details: { setting: 'BATUTA_DATABASE_URL' },
    cause,
  });
}
