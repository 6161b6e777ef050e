// A mail server for tests, on loopback: it keeps what it is sent, and refuses where it is told to.

import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { TLSSocket } from 'node:tls';
import type { Certificate } from './certificates.ts';

/** A mail as it came. */
export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly text: string;
  readonly isSecure: boolean;
}

/** A listening mail server. */
export interface TestMailServer {
  readonly port: number;
  readonly mails: ReceivedMail[];
  stop(): Promise<void>;
}

/** How it behaves; a verb (`RCPT`, `DATA`, `.` for a mail's end) that `refuse` answers for gets that answer, `''` none at all. */
export interface MailServerOptions {
  readonly refuse?: (verb: string, line: string) => string | undefined;
  /** Shown from the first byte, or once asked with STARTTLS. */
  readonly certificate?: Certificate;
  readonly tls?: 'at once' | 'asked';
}

/** Opens one at a port of its own. */
export async function openMailServer(options: MailServerOptions = {}): Promise<TestMailServer> {
  const mails: ReceivedMail[] = [];
  const sockets = new Set<Socket>();
  const server = createServer(plain => {
    sockets.add(plain);
    plain.on('error', () => {}).on('close', () => sockets.delete(plain));
    const socket = options.tls === 'at once' ? secured(plain, options) : plain;
    say(socket, options.refuse?.('', '') ?? '220 test ESMTP');
    converse(socket, options, mails);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    mails,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise(resolve => server.close(resolve));
    },
  };
}

function converse(socket: Socket, options: MailServerOptions, mails: ReceivedMail[]): void {
  const lines = createInterface({ input: socket, crlfDelay: Number.POSITIVE_INFINITY });
  const isSecure = socket instanceof TLSSocket;
  let envelope: { from: string; to: string[]; text: string[] | null } = { from: '', to: [], text: null };
  lines.on('line', line => {
    if (envelope.text !== null && line !== '.') {
      envelope.text.push(line.startsWith('..') ? line.slice(1) : line);
      return;
    }
    const verb = line === '.' ? '.' : (line.split(/[ :]/)[0] ?? '').toUpperCase();
    const refusal = options.refuse?.(verb, line);
    if (verb === 'MAIL') envelope = { from: line, to: [], text: null };
    if (refusal !== undefined) return say(socket, refusal);
    switch (verb) {
      case 'EHLO':
        return say(socket, offers(options, isSecure));
      case 'STARTTLS':
        if (options.tls !== 'asked') return say(socket, '502 not here');
        say(socket, '220 go on');
        lines.close();
        return converse(secured(socket, options), options, mails);
      case 'RCPT':
        envelope.to.push(/<(.*)>/.exec(line)?.[1] ?? '');
        return say(socket, '250 ok');
      case 'DATA':
        envelope.text = [];
        return say(socket, '354 go on');
      case '.':
        mails.push({
          from: /<(.*?)>/.exec(envelope.from)?.[1] ?? '',
          to: envelope.to,
          text: (envelope.text ?? []).join('\n'),
          isSecure,
        });
        envelope.text = null;
        return say(socket, '250 2.0.0 kept');
      case 'QUIT':
        say(socket, '221 bye');
        return void socket.end();
      default:
        return say(socket, '250 ok');
    }
  });
}

function offers({ tls }: MailServerOptions, isSecure: boolean): string {
  return tls === 'asked' && !isSecure ? '250-test\r\n250 STARTTLS' : '250-test\r\n250 AUTH PLAIN';
}

function secured(socket: Socket, { certificate }: MailServerOptions): TLSSocket {
  if (certificate === undefined) throw new Error('a mail server without a certificate speaks no TLS');
  const { certificate: cert, key } = certificate;
  const secure = new TLSSocket(socket, {
    ...{ isServer: true, cert: readFileSync(cert), key: readFileSync(key) },
  });
  return secure.on('error', () => {});
}

function say(socket: Socket, line: string): void {
  if (line !== '') socket.write(`${line}\r\n`);
}
