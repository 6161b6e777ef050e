// Writes what a route answered onto the wire, with the headers every answer bears.

import { pipeline } from 'node:stream';
import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import type { DomainError } from '../domain/errors.ts';
import type { Protocol, Reply } from '../protocols/protocol.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Exchange } from './exchange.ts';
import { rateHeaders } from './gate.ts';
import { writeEvents } from './sse.ts';

const JSON_TYPE = 'application/json; charset=utf-8';

/** Shorter answers cost more to compress than to send, in characters (`SAM-235`). */
const COMPRESSED_MIN = 1_024;

const compress = promisify(gzip);

/** Writes a reply; resolves when a stream or event stream is over, at once otherwise. */
export function answer(exchange: Exchange, reply: Reply, clock: Clock): Promise<void> | undefined {
  switch (reply.kind) {
    case 'json':
      return answerText(exchange, reply.status, JSON_TYPE, JSON.stringify(reply.body), reply.headers);
    case 'text':
      return answerText(exchange, reply.status, reply.contentType, reply.body, reply.headers);
    case 'empty':
      write(exchange, reply.status, { ...reply.headers }, null);
      return;
    case 'stream':
      return answerStream(exchange, reply);
    case 'sse':
      return answerEvents(exchange, reply, clock);
  }
}

/** Writes an error in the words of a wire. */
export function answerError(
  exchange: Exchange,
  protocol: Protocol,
  error: DomainError,
): Promise<void> | undefined {
  const rendered = protocol.renderError(error, exchange.scene());
  const headers =
    error.code === 'payload_too_large' ? { ...rendered.headers, connection: 'close' } : rendered.headers;
  return answerText(exchange, rendered.status, JSON_TYPE, JSON.stringify(rendered.body), headers);
}

function answerText(
  exchange: Exchange,
  status: number,
  contentType: string,
  text: string,
  headers: Readonly<Record<string, string>> | undefined,
): Promise<void> | undefined {
  const head: Record<string, string | number> = {
    'content-type': contentType,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  };
  if (headers !== undefined) Object.assign(head, headers);
  if (text.length > COMPRESSED_MIN && takesGzip(exchange))
    return answerCompressed(exchange, status, head, text);
  write(exchange, status, head, text);
  return undefined;
}

async function answerCompressed(
  exchange: Exchange,
  status: number,
  head: Record<string, string | number>,
  text: string,
): Promise<void> {
  const bytes = await compress(text, { level: constants.Z_BEST_SPEED });
  head['content-encoding'] = 'gzip';
  head['content-length'] = bytes.length;
  head.vary = 'accept-encoding';
  write(exchange, status, head, bytes);
}

function takesGzip({ headers }: Exchange): boolean {
  const accepted = headers['accept-encoding'];
  return accepted !== undefined && /(?:^|[\s,])(?:gzip|\*)(?!\s*;\s*q=0(?:\.0*)?(?:\s|,|$))/i.test(accepted);
}

function write(
  exchange: Exchange,
  status: number,
  head: Record<string, string | number>,
  body: string | Buffer | null,
): void {
  const { raw } = exchange.reply.hijack();
  if (raw.headersSent || raw.destroyed) return;
  addCommonHeaders(exchange, head);
  raw.writeHead(status, head);
  if (body === null) raw.end();
  else raw.end(body);
}

function answerStream(exchange: Exchange, reply: Reply & { kind: 'stream' }): Promise<void> {
  const { raw } = exchange.reply.hijack();
  const head: Record<string, string | number> = { 'cache-control': 'no-store', ...reply.headers };
  addCommonHeaders(exchange, head);
  raw.writeHead(reply.status, head);
  if (exchange.request.method === 'HEAD') {
    reply.body.destroy();
    raw.end();
    return Promise.resolve();
  }
  return new Promise(resolve => {
    // An error here means one side went away mid-stream: there is nobody left to tell but the connection itself.
    pipeline(reply.body, raw, () => resolve());
  });
}

async function answerEvents(exchange: Exchange, reply: Reply & { kind: 'sse' }, clock: Clock): Promise<void> {
  const { raw } = exchange.reply.hijack();
  const head: Record<string, string | number> = {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  };
  addCommonHeaders(exchange, head);
  raw.writeHead(200, head);
  if (exchange.request.method === 'HEAD') {
    raw.end();
    return;
  }
  raw.flushHeaders();
  await writeEvents(raw, reply.items, { clock, signal: exchange.signal });
}

function addCommonHeaders(exchange: Exchange, head: Record<string, string | number>): void {
  head['x-request-id'] = exchange.requestId;
  head['x-content-type-options'] = 'nosniff';
  head['referrer-policy'] = 'no-referrer';
  head['content-security-policy'] ??= "default-src 'none'; frame-ancestors 'none'";
  const { rate, caller } = exchange;
  const warnings = caller?.warnings ?? [];
  if (warnings.length > 0) head['x-batuta-warning'] = warnings.join(', ');
  if (rate !== null) Object.assign(head, rateHeaders(rate));
}
