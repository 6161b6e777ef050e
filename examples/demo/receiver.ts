// The receiver of webhooks: an HTTP server around the SDK's handler, which believes only what is signed and deals with each
// notification once. It counts everything, so that the summary can compare what was sent with what was dealt with.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type WebhookBody, webhookReceiver } from '../../src/sdk/index.ts';

/** What came in. */
export interface ReceiverCounts {
  /** Requests of any kind. */
  readonly requests: number;
  /** Notifications dealt with, by `task sequence event`: how often each was. */
  readonly processed: ReadonlyMap<string, number>;
  /** Genuine repeats, acknowledged without being dealt with. */
  readonly repeats: number;
  /** Requests whose signature was wrong. */
  readonly refused: number;
  /** Acknowledgements withheld on purpose. */
  readonly withheld: number;
  /** The outputs that `task_completed` told, by task: more than one different is one too many. */
  readonly outputs: ReadonlyMap<string, ReadonlySet<string>>;
}

/** A receiver that listens. */
export interface Receiver {
  readonly url: string;
  readonly secret: string;
  counts(): ReceiverCounts;
  close(): Promise<void>;
}

/** Ends of tasks whose acknowledgement is lost: the server has to send them again, the receiver to notice. */
const WITHHELD_MAX = 2;

/** Listens on a free port of the loopback. */
export async function openReceiver(): Promise<Receiver> {
  const secret = `whsec_${Buffer.from(crypto.getRandomValues(new Uint8Array(24))).toString('base64')}`;
  const processed = new Map<string, number>();
  const outputs = new Map<string, Set<string>>();
  const counts = { requests: 0, repeats: 0, refused: 0, withheld: 0 };
  const deal = (body: WebhookBody): undefined => {
    const name = notificationName(body);
    processed.set(name, (processed.get(name) ?? 0) + 1);
    if (body.event_type !== 'task_completed') return;
    const told = outputs.get(body.task_id) ?? new Set();
    outputs.set(body.task_id, told.add(JSON.stringify(body.result?.output)));
  };
  const handle = webhookReceiver(secret, { any: deal }, { requireStandard: true });
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    counts.requests += 1;
    const reply = await handle(await webRequest(request));
    const text = await reply.text();
    if (reply.status >= 400) counts.refused += 1;
    if (JSON.parse(text).duplicate === true) counts.repeats += 1;
    else if (request.headers['x-webhook-event'] === 'task_completed' && counts.withheld < WITHHELD_MAX) {
      counts.withheld += 1;
      response.destroy();
      return;
    }
    response.writeHead(reply.status, { 'content-type': 'application/json' }).end(text);
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(error => response.destroy(error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/webhooks`,
    secret,
    counts: () => ({ ...counts, processed, outputs }),
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** What a notification is about, whatever it was sent as: an event of a task happens once. */
export function notificationName(body: Pick<WebhookBody, 'task_id' | 'sequence' | 'event_type'>): string {
  return `${body.task_id} ${body.sequence} ${body.event_type}`;
}

async function webRequest(request: IncomingMessage): Promise<Request> {
  const headers = Object.entries(request.headersDistinct).flatMap(([name, values = []]) =>
    values.map(value => [name, value] as [string, string]),
  );
  return new Request(`http://127.0.0.1${request.url}`, {
    method: request.method ?? 'POST',
    headers,
    body: await buffer(request),
  });
}
