// Messages through a server in a process of its own: batches over HTTP sent, read and acknowledged, one message at a time pushed through a
// socket, and what many open sockets cost. `node bench/messages.ts [seconds] [sockets]` prints one line of JSON.

import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { ADMIN_HEADERS, serverProcess } from '../test/server.ts';

const SECONDS = Number(process.argv[2] ?? 5);
const SOCKETS = Number(process.argv[3] ?? 10_000);
const BATCH = 100;
const SENDERS = 4;
const READERS = 4;
const BODY = 'x'.repeat(200);
const INBOX = 'coordinator:reader';

const load1m = Math.round((loadavg()[0] ?? 0) * 10) / 10;
const dir = mkdtempSync(join(tmpdir(), 'batuta-bench-'));
const server = await serverProcess(dir, { BATUTA_LOG_LEVEL: 'error', BATUTA_SLOTS: '0' });
await server.start();
let made = 0;
try {
  await ask('POST', '/api/v2/agents', { agent_id: 'reader', types: [], roles: ['army:coordinator'] });
  const perSecond = await batches();
  const push = await pushes();
  const idle = await openSockets();
  console.log(JSON.stringify({ perSecond, ...push, ...idle, load1m }));
} finally {
  await server.kill();
  rmSync(dir, { recursive: true, force: true });
}

/** A message that an agent reads and nobody inside the server answers. */
function message(): object {
  made += 1;
  return {
    ...{ id: `bench-${made}`, timestamp: new Date().toISOString(), from: 'supervisor', to: INBOX },
    ...{ type: 'coordination', payload: { action: 'note', text: BODY }, metadata: { priority: 'normal' } },
  };
}

async function ask(
  method: string,
  path: string,
  body?: object,
): Promise<{ readonly messages: readonly { readonly delivery_id: string }[] }> {
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: ADMIN_HEADERS,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok)
    throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`);
  return await response.json();
}

/** Messages sent, delivered and acknowledged a second, in batches. */
async function batches(): Promise<number> {
  const until = performance.now() + SECONDS * 1_000;
  let done = 0;
  const sending = Array.from({ length: SENDERS }, async () => {
    while (performance.now() < until)
      await ask('POST', '/protocols/army/messages', Array.from({ length: BATCH }, message));
  });
  const reading = Array.from({ length: READERS }, async () => {
    while (performance.now() < until) {
      const read = await ask('GET', `/protocols/army/inbox/${INBOX}?max=100&wait=1`);
      const { messages } = read;
      if (messages.length === 0) continue;
      const items = messages.map(({ delivery_id }) => ({ delivery_id, outcome: 'ack' }));
      await ask('POST', `/protocols/army/inbox/${INBOX}/ack`, { items });
      if (performance.now() < until) done += messages.length;
    }
  });
  await Promise.all([...sending, ...reading]);
  for (let left = 1; left > 0; ) {
    const read = await ask('GET', `/protocols/army/inbox/${INBOX}?max=100`);
    const { messages } = read;
    left = messages.length;
    const items = messages.map(({ delivery_id }) => ({ delivery_id, outcome: 'ack' }));
    if (left > 0) await ask('POST', `/protocols/army/inbox/${INBOX}/ack`, { items });
  }
  return Math.round(done / SECONDS);
}

/** From the sending of a lone message to its delivery through an open socket, in milliseconds. */
async function pushes(): Promise<{ readonly pushP50Ms: number; readonly pushP99Ms: number }> {
  const [reader, sender] = [await open(), await open()];
  reader.send(JSON.stringify({ frame: 'hello', inbox: INBOX, credit: 1_000 }));
  await once(reader, 'message');
  const took: number[] = [];
  for (let round = 0; round < 500; round++) {
    const delivered = new Promise<string>(resolve => {
      const hear = (data: unknown): void => {
        const frame = JSON.parse(String(data));
        if (frame.frame !== 'deliver') return;
        reader.off('message', hear);
        resolve(frame.delivery_id);
      };
      reader.on('message', hear);
    });
    const sent = once(sender, 'message');
    const began = performance.now();
    sender.send(JSON.stringify({ frame: 'send', message: message() }));
    const deliveryId = await delivered;
    took.push(performance.now() - began);
    await sent;
    const acked = once(reader, 'message');
    reader.send(JSON.stringify({ frame: 'ack', items: [{ delivery_id: deliveryId, outcome: 'ack' }] }));
    await acked;
    reader.send(JSON.stringify({ frame: 'credit', credit: 1 }));
  }
  for (const socket of [reader, sender]) socket.close();
  took.sort((one, other) => one - other);
  const at = (share: number): number =>
    Math.round((took[Math.floor(share * (took.length - 1))] ?? 0) * 100) / 100;
  return { pushP50Ms: at(0.5), pushP99Ms: at(0.99) };
}

/** What sockets that wait for messages cost the server, in kilobytes each, and whether it keeps growing. */
async function openSockets(): Promise<{
  readonly sockets: number;
  readonly kbEach: number;
  readonly grewMb: number;
}> {
  const before = residentMb();
  const sockets: WebSocket[] = [];
  for (let opened = 0; opened < SOCKETS; opened += 100)
    sockets.push(
      ...(await Promise.all(
        Array.from({ length: 100 }, async () => {
          const socket = await open();
          socket.send(JSON.stringify({ frame: 'hello', inbox: INBOX, credit: 1 }));
          return socket;
        }),
      )),
    );
  await new Promise(resolve => setTimeout(resolve, 5_000));
  const full = residentMb();
  await new Promise(resolve => setTimeout(resolve, 15_000));
  const grewMb = Math.round(residentMb() - full);
  for (const socket of sockets) socket.terminate();
  return { sockets: sockets.length, kbEach: Math.round(((full - before) * 1_024) / sockets.length), grewMb };
}

async function open(): Promise<WebSocket> {
  const { 'x-api-key': key, 'x-api-secret': secret } = ADMIN_HEADERS;
  const headers = { 'x-api-key': key, 'x-api-secret': secret };
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/protocols/army/socket`, { headers });
  await once(socket, 'open');
  return socket;
}

function residentMb(): number {
  const [, kb = '0'] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8')) ?? [];
  return Number(kb) / 1_024;
}
