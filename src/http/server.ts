// The HTTP server: one Fastify with the routes of every wire, the OpenAPI document and the error pages; it starts, and it stops
// without dropping a request.

import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import Type from 'typebox';
import { DomainError } from '../domain/errors.ts';
import type { Protocol, Route } from '../protocols/protocol.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { Service } from '../runtime/service.ts';
import { changelogRoute, errorPagesRoute } from './errorpages.ts';
import { Exchange, type ExchangeSetting } from './exchange.ts';
import type { Gatekeeper, RequestLimits, RequestRepeats } from './gate.ts';
import { bareServer, followCertificate, type TlsFiles } from './listening.ts';
import { mount, overBudget, refuse, translated } from './mount.ts';
import { openApiOf } from './openapi.ts';
import { rangesOf } from './privacy.ts';
import { Sockets } from './sockets.ts';
import { afterAnswers, hangUp } from './stray-bytes.ts';

/** How the server listens and what it takes. */
export interface ServerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly version: string;
  readonly publicUrl?: string;
  /** Addresses of proxies whose forwarding headers are believed. */
  readonly trustedProxies?: readonly string[];
  /** Under TLS 1.3 with this certificate; absent: in clear. */
  readonly tls?: TlsFiles;
  /** Bytes of a body at most; 4 MiB unless given. */
  readonly bodyBytesMax?: number;
  /** How long a stop waits for requests under way, in milliseconds; 10 s unless given. */
  readonly stopMsMax?: number;
}

/** What the server is made from. */
export interface ServerDeps {
  /** The first is the house's own wire: it words errors of paths nobody serves. */
  readonly protocols: readonly [Protocol, ...Protocol[]];
  readonly authenticator: Gatekeeper;
  readonly limits: RequestLimits;
  readonly repeats: RequestRepeats;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  readonly options: ServerOptions;
}

/** A server that can say where it listens. */
export interface HttpServer extends Service {
  /** `http://host:port`, or https, once started. */
  url(): string;
  /** From now on each answer asks its caller to connect anew, which a load balancer does elsewhere; everything is still served. */
  leave(): void;
  /** The bare server, for what is not HTTP (WebSocket upgrades). */
  readonly raw: Server;
}

/** A header must be complete after so long, a whole request (uploads aside, which are long) after so long, in milliseconds. */
const HEADERS_MS = 20_000;
const REQUEST_MS = 900_000;
const KEEP_ALIVE_MS = 65_000;
const SOCKET_IDLE_MS = 120_000;
const SWEEP_MS = 50;

/** Builds the server; nothing listens before `start`. */
export function createServer(deps: ServerDeps): HttpServer {
  const { clock, random, options } = deps;
  const openSignals = new Set<AbortController>();
  const { trustedProxies = [], publicUrl = null, tls } = options;
  const proxies = rangesOf(trustedProxies);
  const setting: ExchangeSetting = { clock, random, publicUrl, proxies, openSignals };
  const app = buildApp(deps, setting);
  addRoutes(app, deps, setting);
  const sockets = new Sockets({ ...deps, publicUrl, proxies });
  app.server.on('upgrade', (request, stream, head) => sockets.upgrade(request, stream, head));
  let url = '';
  let unfollow = (): void => {};
  return {
    raw: app.server,
    url: () => url,
    async start() {
      await app.listen({ host: options.host, port: options.port });
      sockets.start();
      url = urlOf(app.server.address() as AddressInfo, tls === undefined ? 'http' : 'https');
      if (tls !== undefined) unfollow = followCertificate(app.server, tls, clock, deps.log);
    },
    leave() {
      sockets.leave();
      app.server.prependListener('request', (_request, response) => {
        response.shouldKeepAlive = false;
      });
    },
    async stop() {
      unfollow();
      for (const open of openSignals) open.abort(new DomainError('unavailable', 'the server is stopping'));
      sockets.stop();
      const cancel = clock.after(options.stopMsMax ?? 10_000, () => app.server.closeAllConnections());
      const endSweep = sweep(app.server, clock);
      await app.close();
      endSweep();
      cancel();
    },
  };
}

/** Closing ends idle connections once; those whose last answer is written later would idle on until their keep-alive ends. */
function sweep(server: Server, clock: Clock): () => void {
  let cancel = clock.after(SWEEP_MS, again);
  function again(): void {
    server.closeIdleConnections();
    cancel = clock.after(SWEEP_MS, again);
  }
  return () => cancel();
}

function buildApp(deps: ServerDeps, setting: ExchangeSetting): FastifyInstance {
  const { options, protocols, random, clock } = deps;
  const app = Fastify({
    logger: false,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    trustProxy: options.trustedProxies === undefined ? false : [...options.trustedProxies],
    bodyLimit: options.bodyBytesMax ?? 4 * 1024 * 1024,
    routerOptions: { maxParamLength: 512, caseSensitive: true, ignoreTrailingSlash: false },
    // What the router itself refuses: a path that cannot be decoded, or a parameter beyond all names.
    frameworkErrors: (error, request, reply) => answerStray(deps, setting, error, request, reply),
    clientErrorHandler(_error, socket) {
      const scene = { requestId: random.uuid(), traceId: '0'.repeat(32), now: clock.now(), origin: '' };
      const problem = new DomainError('unserializable', 'this is not a readable HTTP request');
      const { status, body } = protocols[0].renderError(problem, scene);
      const hangUpNow = () =>
        hangUp(socket, status, { body: JSON.stringify(body), requestId: scene.requestId });
      afterAnswers(socket, hangUpNow);
    },
    serverFactory(handler) {
      const patience = {
        headersTimeout: HEADERS_MS,
        requestTimeout: REQUEST_MS,
        keepAliveTimeout: KEEP_ALIVE_MS,
      };
      const server = bareServer(options.tls, patience, handler);
      server.setTimeout(SOCKET_IDLE_MS);
      return server;
    },
  });
  app.decorateRequest('exchange', null);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, bytes, done) => done(null, bytes));
  return app;
}

function addRoutes(app: FastifyInstance, deps: ServerDeps, setting: ExchangeSetting): void {
  const { protocols } = deps;
  const [house] = protocols;
  const pages = errorPagesRoute(protocols);
  const document: Route = {
    method: 'GET',
    path: `${house.prefix}/openapi.json`,
    summary: 'This document',
    tag: 'documentation',
    access: 'public',
    rate: 'free',
    answers: { 200: Type.Object({}, { description: 'An OpenAPI 3.1 document.' }) },
    async handle() {
      return { kind: 'text', status: 200, contentType: 'application/json; charset=utf-8', body: text };
    },
  };
  const documents: Protocol = {
    name: house.name,
    prefix: house.prefix,
    routes: [document, pages, changelogRoute(protocols)],
    renderError: (error, scene) => house.renderError(error, scene),
    errorSchema: house.errorSchema,
  };
  const all = [...protocols, documents];
  const text = JSON.stringify(openApiOf(all, deps.options.version));
  for (const protocol of all) mount(app, protocol, { ...deps, setting });
  app.setNotFoundHandler((request, reply) => answerStray(deps, setting, NOWHERE, request, reply));
  app.setErrorHandler((error, request, reply) => answerStray(deps, setting, error, request, reply));
}

const NOWHERE = new DomainError('not_found', 'there is nothing at this path for this method');

/** Answers a request that reached no route; whoever sends such is charged by address. */
function answerStray(
  { protocols, limits, log }: ServerDeps,
  setting: ExchangeSetting,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const exchange = new Exchange(request, reply, setting);
  exchange.rate = limits.chargeAddress(exchange.sourceAddress);
  const { url } = request;
  const wire = protocols.filter(one => url.startsWith(one.prefix)).sort(byPrefix)[0] ?? protocols[0];
  refuse(wire, exchange, overBudget(exchange) ?? translated(error), log);
}

function byPrefix(one: Protocol, other: Protocol): number {
  return other.prefix.length - one.prefix.length;
}

function urlOf({ address, family, port }: AddressInfo, scheme: string): string {
  return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
