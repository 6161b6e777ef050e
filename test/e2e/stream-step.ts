// A worker in a process of its own that streams a gigabyte: `node stream-step.ts <url> <MiB> <role>…`, roles being `source`, `through` and
// `sink`. Says at its end what it has seen, and the most memory it ever had.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { BatutaClient, type TaskHandler, Worker } from '../../src/sdk/index.ts';
import { ADMIN } from '../server.ts';

const [url = '', mebibytes = '1', ...roles] = process.argv.slice(2);
const CHUNK = 1_024 ** 2;

/** A chunk that no other is like. */
function chunkOf(number: number): Uint8Array {
  const bytes = new Uint8Array(CHUNK);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes.fill(number % 251, 4);
}

const handlers: Readonly<Record<string, TaskHandler>> = {
  source: async (_, context) => {
    const rows = context.output('rows');
    for (let number = (await rows.written()) + 1; number <= Number(mebibytes); number++)
      await rows.writeBytes(chunkOf(number));
  },
  through: async (_, context) => {
    const rows = context.output('rows');
    for await (const { bytes } of context.input('rows')) {
      bytes[4] = 255;
      await rows.writeBytes(bytes);
    }
  },
  sink: async (_, context) => {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of context.input('rows')) {
      hash.update(chunk.bytes);
      bytes += chunk.bytes.length;
    }
    return { bytes, sha256: hash.digest('hex') };
  },
};

const worker = new Worker({
  client: new BatutaClient({ url, credentials: { apiKey: ADMIN.key, apiSecret: ADMIN.secret } }),
  agentId: `streams-${roles.join('-')}`,
  handlers: Object.fromEntries(Object.entries(handlers).filter(([role]) => roles.includes(role))),
});
if (roles.length === 0) process.exit(0);
await worker.start();
process.once('SIGTERM', async () => {
  await worker.stop({ graceMs: 0, handInMs: 1_000 });
  const [, peak = '0'] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  process.stdout.write(`${JSON.stringify({ peakMiB: Math.round(Number(peak) / 1_024) })}\n`);
  process.exit(0);
});
process.stdout.write('ready\n');
