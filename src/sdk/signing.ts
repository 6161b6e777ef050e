// HMAC request signing (`SAM-22`–`SAM-25`): what is signed, in which form. Uses WebCrypto alone, so it runs wherever fetch does.

/** A key that signs requests. */
export interface SigningKey {
  readonly keyId: string;
  readonly secret: string;
  /** `HMAC-SHA256` unless the key allows another. */
  readonly scheme?: SigningScheme;
}

/** The schemes a key may allow. */
export type SigningScheme = 'HMAC-SHA256' | 'HMAC-SHA384' | 'HMAC-SHA512';

/** A request before it is signed; `path` is as sent, `query` without its question mark. */
export interface Signable {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly query: string;
  readonly contentType: string | null;
  readonly body: Uint8Array;
  /** Unix seconds. */
  readonly timestamp: number;
  readonly nonce: string;
}

const HASHES = { 'HMAC-SHA256': 'SHA-256', 'HMAC-SHA384': 'SHA-384', 'HMAC-SHA512': 'SHA-512' } as const;

/** The headers that prove the request: `authorization`, `x-timestamp`, `x-nonce`. */
export async function signedHeaders(
  key: SigningKey,
  request: Signable,
): Promise<Readonly<Record<string, string>>> {
  const scheme = key.scheme ?? 'HMAC-SHA256';
  const headers: [string, string][] = [
    ['host', request.host],
    ['x-nonce', request.nonce],
    ['x-timestamp', String(request.timestamp)],
  ];
  if (request.contentType !== null && request.body.length > 0)
    headers.unshift(['content-type', request.contentType]);
  const names = headers.map(([name]) => name).join(';');
  const text = [
    scheme,
    String(request.timestamp),
    request.method.toUpperCase(),
    request.path,
    canonicalQuery(request.query),
    headers.map(([name, value]) => `${name}:${value.trim().replace(/[ \t]+/g, ' ')}`).join('\n'),
    names,
    hex(await crypto.subtle.digest('SHA-256', request.body as BufferSource)),
  ].join('\n');
  const signature = await hmacHex(HASHES[scheme], key.secret, text);
  return {
    authorization: `${scheme} Credential=${key.keyId}, SignedHeaders=${names}, Signature=${signature}`,
    'x-timestamp': String(request.timestamp),
    'x-nonce': request.nonce,
  };
}

/** Parameters decoded, re-encoded by RFC 3986, sorted by name then value (`SAM-24`). */
export function canonicalQuery(query: string): string {
  if (query === '') return '';
  const decode = (part: string): string => decodeURIComponent(part.replaceAll('+', ' '));
  return query
    .split('&')
    .filter(pair => pair !== '')
    .map(pair => {
      const equals = pair.indexOf('=');
      const name = equals < 0 ? pair : pair.slice(0, equals);
      const value = equals < 0 ? '' : pair.slice(equals + 1);
      return [encode(decode(name)), encode(decode(value))] as const;
    })
    .sort(([nameA, valueA], [nameB, valueB]) => compare(nameA, nameB) || compare(valueA, valueB))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

/** Lower-case hex of the bytes. */
export function hex(bytes: ArrayBuffer | Uint8Array): string {
  return Array.from(new Uint8Array(bytes), byte => byte.toString(16).padStart(2, '0')).join('');
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

async function hmacHex(hash: string, secret: string, text: string): Promise<string> {
  const encoder = new TextEncoder();
  const key = await crypto.subtle.importKey('raw', encoder.encode(secret), { name: 'HMAC', hash }, false, [
    'sign',
  ]);
  return hex(await crypto.subtle.sign('HMAC', key, encoder.encode(text)));
}
