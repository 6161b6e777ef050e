// The one way a browser reaches the network: an HTTP proxy on loopback that knows its jobs by their credentials, has the guard judge
// every address they ask for, and counts what comes (`SAM-148`). What it tunnels it does not look into.

import { timingSafeEqual } from 'node:crypto';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type Duplex, type Readable, Transform } from 'node:stream';
import { DomainError } from '../../domain/errors.ts';
import type { Traffic } from '../../engine/ports/outbound.ts';
import type { Tunnels } from '../../engine/ports/tunnels.ts';
import type { Log } from '../../runtime/log.ts';
import type { Random } from '../../runtime/random.ts';
import type { ProxyAccess } from './driver/messages.ts';
import { failureOf, type WebFailure } from './web-error.ts';

const HOP_BY_HOP = /^(?:connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)$/i;
const REFUSALS_MAX = 100;
/** A page that opens more than this at once is up to no good. */
const CONNECTIONS_MAX = 256;
/** In the place of an origin: nothing is let through any more. */
const EVERYWHERE = '*';

/** One job's way through the proxy, until it is closed. */
export interface ProxyPass {
  readonly access: ProxyAccess;
  /** Connections the guard turned away. */
  readonly refused: number;
  /** Why the job was turned away from the URL's host, if it was. */
  refusal(url: string): WebFailure | null;
  /** Ends every connection of the job; nothing more is let through. */
  close(): void;
}

interface Job {
  readonly secret: Buffer;
  readonly bytesMax: number;
  readonly abort: AbortController;
  readonly sockets: Set<Duplex>;
  readonly refusals: Map<string, WebFailure>;
  readonly traffic: Traffic;
  refused: number;
}

/** Serves jobs of this process alone. */
export class FilteringProxy {
  readonly #log: Log;
  readonly #random: Random;
  readonly #tunnels: Tunnels;
  readonly #jobs = new Map<string, Job>();
  #server: Promise<Server> | null = null;

  constructor(log: Log, random: Random, tunnels: Tunnels) {
    this.#log = log;
    this.#random = random;
    this.#tunnels = tunnels;
  }

  /** Lets a job through until it is closed or has had so many bytes; the proxy starts with the first. */
  async admit(bytesMax: number, traffic: Traffic): Promise<ProxyPass> {
    this.#server ??= this.#listen();
    const { port } = (await this.#server).address() as AddressInfo;
    const name = this.#random.uuid();
    const password = Buffer.from(this.#random.bytes(24)).toString('base64url');
    const job: Job = {
      secret: Buffer.from(`Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`),
      bytesMax,
      abort: new AbortController(),
      sockets: new Set(),
      refusals: new Map(),
      traffic,
      refused: 0,
    };
    this.#jobs.set(name, job);
    return {
      access: { server: `http://127.0.0.1:${port}`, username: name, password },
      get refused() {
        return job.refused;
      },
      refusal: url => job.refusals.get(EVERYWHERE) ?? job.refusals.get(originOf(url)) ?? null,
      close: () => {
        this.#jobs.delete(name);
        job.abort.abort();
        for (const socket of job.sockets) socket.destroy();
      },
    };
  }

  /** Ends every job's way and the proxy itself. */
  async stop(): Promise<void> {
    const server = await this.#server;
    this.#server = null;
    for (const job of this.#jobs.values()) for (const socket of job.sockets) socket.destroy();
    this.#jobs.clear();
    if (server === undefined || server === null) return;
    server.closeAllConnections();
    await new Promise(resolve => server.close(resolve));
  }

  async #listen(): Promise<Server> {
    const server = createServer((request, response) => void this.#forward(request, response));
    server.on('connect', (request, socket, head) => void this.#tunnel(request, socket, head));
    server.on('upgrade', (_request, socket) => socket.destroy());
    server.on('clientError', (_error, socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    server.unref();
    return server;
  }

  async #tunnel(request: IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
    client.on('error', () => client.destroy());
    const job = this.#jobOf(request);
    if (job === null) {
      client.end(
        'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="batuta"\r\nContent-Length: 0\r\n\r\n',
      );
      return;
    }
    const target = URL.canParse(`http://${request.url}`) ? new URL(`http://${request.url}`) : null;
    const port = Number(/:(\d+)$/.exec(request.url ?? '')?.[1] ?? 0);
    if (target === null || port === 0) {
      client.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    try {
      const far = await this.#open(job, target.hostname, port, port === 80);
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      if (head.length > 0) far.write(head);
      this.#join(job, client, far);
    } catch {
      client.destroy();
    }
  }

  async #forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => response.destroy());
    const job = this.#jobOf(request);
    if (job === null) {
      response.writeHead(407, { 'proxy-authenticate': 'Basic realm="batuta"' }).end();
      return;
    }
    const url = URL.parse(request.url ?? '');
    if (url === null || url.protocol !== 'http:') {
      response.writeHead(400).end();
      return;
    }
    try {
      const far = await this.#open(job, url.hostname, Number(url.port || 80), true);
      this.#send(job, far, url, request, response);
    } catch {
      // No answer at all: a page could take one of ours for its target's.
      response.destroy();
    }
  }

  #send(job: Job, far: Socket, url: URL, request: IncomingMessage, response: ServerResponse): void {
    this.#count(job, far, far);
    const headers = Object.fromEntries(
      Object.entries(request.headers).filter(([name]) => !HOP_BY_HOP.test(name)),
    );
    const sent = httpRequest(
      {
        method: request.method,
        path: `${url.pathname}${url.search}`,
        headers: { ...headers, host: url.host, connection: 'close' },
        createConnection: () => far,
        setHost: false,
      },
      answer => {
        const back = Object.fromEntries(
          Object.entries(answer.headers).filter(([name]) => !HOP_BY_HOP.test(name)),
        );
        response.writeHead(answer.statusCode ?? 502, back);
        answer.on('error', () => response.destroy());
        paced(answer, job).pipe(response);
      },
    );
    sent.on('error', () => {
      if (response.headersSent) response.destroy();
      else response.writeHead(502).end();
    });
    response.on('close', () => far.destroy());
    request.on('error', () => far.destroy());
    paced(request, job).pipe(sent);
  }

  async #open(job: Job, host: string, port: number, plainHttp: boolean): Promise<Socket> {
    const hostname = host.replace(/^\[(.*)\]$/, '$1');
    const origin = `${plainHttp ? 'http' : 'https'}://${host}:${port}`;
    try {
      if (job.sockets.size >= CONNECTIONS_MAX)
        throw new DomainError(
          'resource_exhausted',
          `the job opened more than ${CONNECTIONS_MAX} connections at once`,
        );
      if (job.traffic.counts.bytesReceived > job.bytesMax) throw tooMuch(job);
      job.traffic.call();
      const far = await this.#tunnels.open({ hostname, port, plainHttp, signal: job.abort.signal });
      job.refusals.delete(origin);
      return far;
    } catch (error) {
      const failure = failureOf(error);
      if (job.abort.signal.aborted) throw error;
      if (failure.code !== 'dependency_failed') job.refused++;
      if (job.refusals.size < REFUSALS_MAX)
        job.refusals.set(origin, { ...failure, details: { ...failure.details, host: hostname } });
      this.#log.debug('a browser was turned away', { host: hostname, code: failure.code });
      throw error;
    }
  }

  #join(job: Job, client: Duplex, far: Socket): void {
    this.#count(job, far, client);
    for (const [from, to] of [
      [client, far],
      [far, client],
    ] as const) {
      paced(from, job).pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
    }
  }

  /** Bytes through a far socket, as they come; past the job's limit all of its connections end. */
  #count(job: Job, far: Socket, client: Duplex): void {
    for (const socket of new Set([far, client])) {
      job.sockets.add(socket);
      socket.on('close', () => job.sockets.delete(socket));
    }
    let [sent, received] = [0, 0];
    const count = (): void => {
      job.traffic.count({ sent: far.bytesWritten - sent, received: far.bytesRead - received });
      [sent, received] = [far.bytesWritten, far.bytesRead];
      if (job.traffic.counts.bytesReceived <= job.bytesMax) return;
      job.refusals.set(EVERYWHERE, failureOf(tooMuch(job)));
      for (const socket of job.sockets) socket.destroy();
    };
    far.on('data', count);
    far.on('close', count);
  }

  #jobOf(request: IncomingMessage): Job | null {
    const given = Buffer.from(request.headers['proxy-authorization'] ?? '');
    const [name = ''] = Buffer.from(given.toString().replace(/^Basic /i, ''), 'base64')
      .toString()
      .split(':');
    const job = this.#jobs.get(name);
    if (job === undefined || given.length !== job.secret.length) return null;
    return timingSafeEqual(given, job.secret) ? job : null;
  }
}

/** The same bytes, no faster than the job's bandwidth; whoever sends them is held up (`SAM-117`). */
function paced(from: Readable, { traffic, abort }: Job): Readable {
  if (!traffic.isLimited) return from;
  const pacer = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      traffic.turn(chunk.length, abort.signal).then(
        () => done(null, chunk),
        () => done(null),
      );
    },
  });
  from.on('error', () => pacer.destroy());
  from.on('close', () => pacer.end());
  return from.pipe(pacer);
}

function tooMuch({ bytesMax }: Job): DomainError {
  return new DomainError('payload_too_large', `the job received more than ${bytesMax} bytes`);
}

function originOf(url: string): string {
  const parsed = URL.parse(url);
  if (parsed === null) return '';
  const { protocol, hostname, port } = parsed;
  const isSecure = protocol === 'https:' || protocol === 'wss:';
  return `${isSecure ? 'https' : 'http'}://${hostname}:${port || (isSecure ? 443 : 80)}`;
}
