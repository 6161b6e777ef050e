// A load balancer as small as one can be: each request goes to the next node whose readiness says so, on a connection of its own.
// It tries nothing twice: whoever asked hears of what failed.

import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const LOOK_MS = 100;
const LOOK_MS_MAX = 1_000;

/** One address for several nodes. */
export interface Front {
  readonly url: string;
  /** The nodes that take requests now, by their URL. */
  ready(): readonly string[];
  close(): Promise<void>;
}

/** Opens a front before these nodes; each is looked at ten times a second, and held to be gone when it says nothing for so long. */
export async function openFront(
  nodes: readonly { readonly url: string }[],
  silentMsMax = LOOK_MS_MAX,
): Promise<Front> {
  const urls = nodes.map(({ url }) => url);
  const ready = new Set<string>();
  let open = true;
  let turn = 0;
  const looks = urls.map(async url => {
    while (open) {
      if (await isReady(url, silentMsMax)) ready.add(url);
      else ready.delete(url);
      await new Promise(resolve => setTimeout(resolve, LOOK_MS));
    }
  });
  const server = createServer((incoming, outgoing) => {
    const candidates = urls.filter(url => ready.has(url));
    const url = candidates[turn++ % Math.max(1, candidates.length)];
    if (url === undefined) return refuse(outgoing, 503, 'no node is ready');
    pass(url, incoming, outgoing);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ready: () => urls.filter(url => ready.has(url)),
    async close() {
      open = false;
      server.closeAllConnections();
      server.close();
      await Promise.all(looks);
    },
  };
}

function pass(url: string, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { method, headers } = incoming;
  const onward = request(new URL(incoming.url ?? '/', url), { method, headers, agent: false });
  onward.on('response', answer => {
    outgoing.writeHead(answer.statusCode ?? 502, withoutHop(answer.headers));
    // A stream that has nothing to say yet is open all the same.
    outgoing.flushHeaders();
    answer.pipe(outgoing);
    answer.on('error', () => outgoing.destroy());
  });
  onward.on('error', error => {
    if (outgoing.headersSent) outgoing.destroy();
    else refuse(outgoing, 502, String(error));
  });
  // Whoever hangs up on us hangs up on the node.
  outgoing.on('close', () => onward.destroy());
  incoming.pipe(onward);
}

function withoutHop({ connection: _, 'keep-alive': __, ...headers }: IncomingMessage['headers']) {
  return headers;
}

function refuse(outgoing: ServerResponse, status: number, message: string): void {
  outgoing.writeHead(status, { 'content-type': 'application/json' });
  outgoing.end(JSON.stringify({ error: { code: 'FRONT', message } }));
}

async function isReady(url: string, silentMsMax: number): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/api/v2/health/ready`, {
      signal: AbortSignal.timeout(silentMsMax),
      headers: { connection: 'close' },
    });
    await answer.body?.cancel();
    return answer.status === 200;
  } catch {
    return false;
  }
}
