// HMAC request signing as pure text: what exactly is signed, and with what (`SAM-22` – `SAM-25`). `docs/hmac-signing.md`
// explains it with test vectors that the test suite runs. Who may sign, and replay, is the authenticator's business.

import { createHmac, hash } from 'node:crypto';
import { DomainError } from '../domain/errors.ts';

/** The schemes, as they stand in the Authorization header and in the signed string. */
export const SIGNING_SCHEMES = ['HMAC-SHA256', 'HMAC-SHA384', 'HMAC-SHA512'] as const;

/** A signing scheme; a key allows some of them. */
export type SigningScheme = (typeof SIGNING_SCHEMES)[number];

/** Headers by lower-case name; a repeated one is an array. */
export type HeaderSet = Readonly<Record<string, string | readonly string[] | undefined>>;

/** A request as it is signed. */
export interface SignableRequest {
  readonly scheme: SigningScheme;
  readonly method: string;
  /** Exactly as sent, without query. */
  readonly path: string;
  /** Without its question mark. */
  readonly query: string;
  readonly headers: HeaderSet;
  /** Lower-case and sorted. */
  readonly signedHeaders: readonly string[];
  /** Lower-case hex. */
  readonly bodySha256: string;
}

/** What an Authorization header of this kind says. */
export interface SignatureHeader {
  readonly scheme: SigningScheme;
  readonly keyId: string;
  readonly signedHeaders: readonly string[];
  /** Lower-case hex of the scheme's length. */
  readonly signature: string;
}

const HASHES: Readonly<Record<SigningScheme, { readonly name: string; readonly hexDigits: number }>> = {
  'HMAC-SHA256': { name: 'sha256', hexDigits: 64 },
  'HMAC-SHA384': { name: 'sha384', hexDigits: 96 },
  'HMAC-SHA512': { name: 'sha512', hexDigits: 128 },
};
const HEADER =
  /^(HMAC-SHA(?:256|384|512)) +Credential=([^\s,]{1,200}), *SignedHeaders=([a-z0-9;_-]{1,2000}), *Signature=([0-9a-f]{1,128})$/;

/** SHA-256 of nothing: the body part of a request without one. */
export const EMPTY_BODY_SHA256 = bodySha256(new Uint8Array());

/** Lower-case hex SHA-256 of a raw body. */
export function bodySha256(body: Uint8Array): string {
  return hash('sha256', body, 'hex');
}

/** Reads the Authorization header; null unless it has exactly the one accepted spelling, so that a signature has no second one. */
export function parseSignatureHeader(authorization: string): SignatureHeader | null {
  const [, scheme, keyId = '', names = '', signature = ''] = HEADER.exec(authorization) ?? [];
  if (!isScheme(scheme) || signature.length !== HASHES[scheme].hexDigits) return null;
  const signedHeaders = names.split(';');
  const isSorted = signedHeaders.every(
    (name, at) => name !== '' && (at === 0 || (signedHeaders[at - 1] ?? '') < name),
  );
  return isSorted ? { scheme, keyId, signedHeaders, signature } : null;
}

/** The eight parts joined by LF; throws `invalid_request` where the query or a signed header cannot be read. */
export function stringToSign(request: SignableRequest): string {
  return [
    request.scheme,
    canonicalValue(request.headers['x-timestamp']),
    request.method.toUpperCase(),
    request.path,
    canonicalQuery(request.query),
    canonicalHeaders(request.headers, request.signedHeaders),
    request.signedHeaders.join(';'),
    request.bodySha256,
  ].join('\n');
}

/** Lower-case hex of the HMAC under the secret's UTF-8 bytes. */
export function sign(scheme: SigningScheme, secret: string, text: string): string {
  return createHmac(HASHES[scheme].name, secret).update(text, 'utf8').digest('hex');
}

/**
 * Parameters percent-decoded (`+` is a space), re-encoded by RFC 3986 and sorted by name then value. Works on bytes, so that no
 * two different ones meet in a replacement character; throws `invalid_request` for a broken escape.
 */
export function canonicalQuery(query: string): string {
  if (query === '') return '';
  return query
    .split('&')
    .filter(pair => pair !== '')
    .map(pair => {
      const equals = pair.indexOf('=');
      const name = equals < 0 ? pair : pair.slice(0, equals);
      return { name: recode(name), value: equals < 0 ? '' : recode(pair.slice(equals + 1)) };
    })
    .sort((one, other) => compare(one.name, other.name) || compare(one.value, other.value))
    .map(({ name, value }) => `${name}=${value}`)
    .join('&');
}

/** Lines `name:value` of the named headers joined by LF; throws `invalid_request` where one is absent. */
export function canonicalHeaders(headers: HeaderSet, names: readonly string[]): string {
  return names.map(name => `${name}:${canonicalValue(headers[name])}`).join('\n');
}

/** A header's value trimmed, its blanks collapsed, repeats joined by a comma; throws `invalid_request` where it is absent. */
export function canonicalValue(value: string | readonly string[] | undefined): string {
  if (value === undefined) throw new DomainError('invalid_request', 'a signed header is absent');
  const values = typeof value === 'string' ? [value] : value;
  return values.map(one => one.replace(/[ \t]+/g, ' ').replace(/^ | $/g, '')).join(',');
}

function recode(part: string): string {
  if (/^[A-Za-z0-9_.~-]*$/.test(part)) return part;
  const decoded = part
    .replaceAll('+', ' ')
    .split(/%([0-9A-Fa-f]{2})/)
    .map((piece, at) => (at % 2 === 1 ? Buffer.from(piece, 'hex') : literal(piece)));
  let encoded = '';
  for (const byte of Buffer.concat(decoded)) {
    const character = String.fromCharCode(byte);
    encoded += /[A-Za-z0-9_.~-]/.test(character)
      ? character
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

function literal(piece: string): Buffer {
  if (piece.includes('%')) throw new DomainError('invalid_request', 'the query has a broken escape');
  return Buffer.from(piece, 'utf8');
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

function isScheme(text: string | undefined): text is SigningScheme {
  return text !== undefined && (SIGNING_SCHEMES as readonly string[]).includes(text);
}
