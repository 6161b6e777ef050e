// Certificates for tests, made by openssl: CAs of one's own, and what they sign.

import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { absent } from './absent.ts';

/** Why no certificates can be made here, or false. */
export const opensslMissing: string | false =
  spawnSync('openssl', ['version']).status === 0 ? false : absent('no openssl here');

/** A certificate and its key, as files in PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** A CA that signs whatever it is asked to, good for a day; its files lie in the folder under its name. */
export function makeAuthority(folder: string, name: string) {
  const made = request(folder, name, ['-addext', 'basicConstraints=critical,CA:TRUE']);
  return {
    ...made,
    /** A certificate for a subject under these names, as `DNS:localhost,IP:127.0.0.1`. */
    sign: (subject: string, names: string): Certificate =>
      request(folder, subject, [
        ...['-CA', made.certificate, '-CAkey', made.key],
        ...['-addext', `subjectAltName=${names}`, '-addext', 'basicConstraints=critical,CA:FALSE'],
      ]),
  };
}

function request(folder: string, name: string, more: readonly string[]): Certificate {
  const made = { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
  execFileSync(
    'openssl',
    [
      ...[
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-noenc',
        '-days',
        '1',
      ],
      ...['-subj', `/CN=${name}`, '-out', made.certificate, '-keyout', made.key, ...more],
    ],
    { stdio: 'pipe' },
  );
  return made;
}
