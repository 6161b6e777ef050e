// Decides which headers a request to the outside may carry: none that would split it, or steer the connection beneath it.

import { DomainError } from '../../domain/errors.ts';

const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const RESERVED =
  /^(?:host|content-length|transfer-encoding|te|trailer|connection|keep-alive|upgrade|expect|http2-settings|proxy-.*)$/i;

/** Throws `invalid_request` for a name or value that HTTP does not allow, and for names the client itself must set. */
export function assertHeaders(headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    if (!NAME.test(name)) throw new DomainError('invalid_request', 'a header name is malformed');
    if (RESERVED.test(name)) throw new DomainError('invalid_request', `the header ${name} is reserved`);
    if (!VALUE.test(value))
      throw new DomainError('invalid_request', `the value of the header ${name} is malformed`);
  }
}
