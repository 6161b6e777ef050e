// What the tour happens in: a server, a receiver, an orchestrator that follows what goes on, and a way to hire workers and to order
// tasks. Opening it starts everything that is there from the beginning.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BatutaClient, Orchestrator } from '../../src/sdk/index.ts';
import { MONTHLY, type Order } from './orders.ts';
import { Processes, type Running, type RunningServer } from './processes.ts';
import { openReceiver, type Receiver } from './receiver.ts';
import type { Scene } from './scene.ts';

/** The orchestrator's side of the demo. */
export interface House {
  readonly scene: Scene;
  readonly processes: Processes;
  readonly client: BatutaClient;
  readonly orchestrator: Orchestrator;
  readonly receiver: Receiver;
  /** Ids of tasks the server said it has. */
  readonly acknowledged: Set<string>;
  readonly workers: Map<string, Running>;
  server: RunningServer;
  hire(name: string): Promise<void>;
  /** Lets go of the server’s event stream. */
  stop(): Promise<void>;
}

/** Starts the server, the receiver and the orchestrator; whatever happens, the resources put them away. */
export async function openHouse(scene: Scene, resources: AsyncDisposableStack): Promise<House> {
  const home = mkdtempSync(join(tmpdir(), 'batuta-demo-'));
  resources.defer(() => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));
  const processes = new Processes(home);
  resources.defer(() => processes.stopAll());
  scene.process('server', 'starting');
  const house = { server: await processes.server() };
  const { url, pid, credentials, startMs } = house.server;
  scene.process('server', 'up', pid);
  scene.tell(`a server is ready on ${url} after ${seconds(startMs)}, with an empty database`);
  const receiver = await openReceiver();
  resources.defer(() => receiver.close());
  scene.counts = receiver.counts;
  await forge(receiver);
  scene.tell('webhooks are received and verified; a forged one was refused');
  // Patient enough to outlast a restart: every call repeats itself safely, under one idempotency key.
  const retry = { attemptsMax: 60, firstDelayMs: 100, delayMaxMs: 1_000 };
  const client = new BatutaClient({ url, credentials, retry });
  const stopFollowing = await follow(scene, client);
  resources.defer(stopFollowing);
  const key = await client.apiKeys.create({
    name: 'report workers',
    permissions: ['task:read', 'task:write-result'],
  });
  const login = { apiKey: key.api_key, apiSecret: key.api_secret };
  const workers = new Map<string, Running>();
  return Object.assign(house, {
    scene,
    processes,
    client,
    orchestrator: new Orchestrator({ client, agentId: 'demo' }),
    receiver,
    acknowledged: new Set<string>(),
    workers,
    async hire(name: string) {
      scene.process(name, 'starting');
      const worker = await processes.worker(name, url, login);
      workers.set(name, worker);
      scene.process(name, 'up', worker.pid);
    },
    stop: stopFollowing,
  });
}

/** Hands the order in; its task is acknowledged once this resolves. */
export async function order(house: House, one: Order): Promise<void> {
  const { scene, orchestrator, receiver, acknowledged } = house;
  scene.board.add(one);
  const acceptance = await orchestrator.submit({
    ...one,
    webhook: {
      url: receiver.url,
      secret: receiver.secret,
      events: ['task_started', 'task_progress', 'task_completed', 'task_failed', 'task_timeout'],
    },
  });
  acknowledged.add(acceptance.task_id);
}

/** Hands several in at once. */
export async function orderAll(house: House, orders: readonly Order[]): Promise<void> {
  await Promise.all(orders.map(one => order(house, one)));
}

/** A duration as people say it. */
export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

/** Sends what the receiver must not believe: well-formed, but signed by nobody who knows the secret. */
async function forge({ url }: Receiver): Promise<void> {
  const headers = {
    'webhook-id': 'forged',
    'webhook-timestamp': String(Math.floor(Date.now() / 1_000)),
    'webhook-signature': `v1,${Buffer.alloc(32).toString('base64')}`,
  };
  const body = JSON.stringify({ event_type: 'task_completed', task_id: MONTHLY, sequence: 1 });
  const { status } = await fetch(url, { method: 'POST', headers, body });
  if (status !== 401) throw new Error(`a forged webhook was answered ${status}`);
}

/** Feeds the board from the server's event stream, over restarts; resolves once nothing can be missed. */
async function follow(scene: Scene, client: BatutaClient): Promise<() => Promise<void>> {
  const stop = new AbortController();
  const opened = Promise.withResolvers<void>();
  const reading = (async () => {
    const events = client.events(undefined, { signal: stop.signal, onOpen: opened.resolve });
    for await (const event of events) scene.board.take(event);
  })().catch(error => opened.reject(error));
  await opened.promise;
  return async () => {
    stop.abort();
    await reading;
  };
}
