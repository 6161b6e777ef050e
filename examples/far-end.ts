// The far end of an example: a small HTTP server on a free port of this machine, in place of the shop, the API or the model that a real job
// would talk to. Your own job has the real one and needs nothing of this.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** A request as it came. */
export interface Asked {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** A server that listens until it is disposed of. */
export interface FarEnd extends AsyncDisposable {
  readonly url: string;
}

/** Listens on the loopback; a handler that throws answers 500. */
export async function farEnd(
  handle: (asked: Asked, response: ServerResponse) => void | Promise<void>,
): Promise<FarEnd> {
  const server = createServer((request, response) => {
    const answer = async (): Promise<void> => {
      const url = new URL(request.url ?? '/', 'http://far.end');
      const { method = 'GET', headers } = request;
      await handle({ method, url, headers, body: await text(request) }, response);
    };
    answer().catch(() => response.writeHead(500).end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** Answers JSON. */
export function json(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
