// Restate: its server keeps the journal and calls the steps' process, this one, over one HTTP/2 stream a run; runs are asked for over its
// ingress.

import { once } from 'node:events';
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { type Context, createEndpointHandler, RestatePromise, service } from '@restatedev/restate-sdk';
import { startRestate } from './servers.ts';
import { versionOf } from './version.ts';
import type { WorkflowPeer } from './workflow-peer.ts';

const nothing = (): null => null;

const steps = service({
  name: 'bench',
  handlers: {
    async chain(context: Context, count: number) {
      for (let at = 0; at < count; at++) await context.run('nothing', nothing);
    },
    async fanOut(context: Context, width: number) {
      await RestatePromise.all(Array.from({ length: width }, () => context.run('nothing', nothing)));
      await context.run('join', nothing);
    },
  },
});

/** Restate on a server of its own, with its default of an fsync before it answers. */
export async function startPeer(): Promise<WorkflowPeer> {
  const here = createServer(createEndpointHandler({ services: [steps], logger: () => {} }));
  here.listen(0, '127.0.0.1');
  await once(here, 'listening');
  const { port } = here.address() as AddressInfo;
  const restate = await startRestate();
  await post(restate.adminPort, '/deployments', { uri: `http://127.0.0.1:${port}` });
  return {
    name: 'restate',
    version: `${versionOf('@restatedev/restate-server')}, SDK ${versionOf('@restatedev/restate-sdk')}`,
    server: 'one node, replicated loglet, fsync; HTTP/2 to this process',
    chain: count => post(restate.port, '/bench/chain', count),
    fanOut: width => post(restate.port, '/bench/fanOut', width),
    async stop() {
      here.close();
      await restate.stop();
    },
  };
}

async function post(port: number, path: string, body: unknown): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${answer}`);
}
