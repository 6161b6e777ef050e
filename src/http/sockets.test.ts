// How sockets end: a far end that answers no ping, and credentials that are good no more. Real sockets, a clock of our own.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { WebSocket } from 'ws';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { DomainError } from '../domain/errors.ts';
import { silentLog } from '../runtime/log.ts';
import { seededRandom } from '../runtime/random.ts';
import { type SocketDeps, Sockets } from './sockets.ts';

const PING_MS = 20_000;
const RECHECK_MS = 15_000;

async function setup(t: TestContext) {
  const clock = new VirtualClock();
  const credentials = { areGood: true };
  const deps = {
    ...{ clock, log: silentLog, random: seededRandom(1, () => clock.now()), publicUrl: null },
    authenticator: {
      async authenticate() {
        if (credentials.areGood) return { principal: { permissions: new Set() }, method: 'jwt' };
        throw new DomainError('unauthenticated', 'the token has expired');
      },
    },
    limits: { charge: () => null, chargeAddress: () => null },
    protocols: [
      {
        sockets: [
          {
            ...{ path: '/socket', access: 'authenticated', frameBytesMax: 1_000 },
            open: () => ({ receive: () => {}, ended: () => {} }),
          },
        ],
        renderError: () => ({ status: 401, body: {} }),
      },
    ],
  } as unknown as SocketDeps;
  const sockets = new Sockets(deps);
  const server = createServer();
  server.on('upgrade', (request, stream, head) => sockets.upgrade(request, stream, head));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  sockets.start();
  t.after(() => {
    sockets.stop();
    server.close();
  });
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/socket`;
  return {
    ...{ clock, credentials },
    async connect(autoPong: boolean) {
      const socket = new WebSocket(url, { autoPong });
      const closed = once(socket, 'close').then(([code]) => Number(code));
      await once(socket, 'open');
      return { socket, closed };
    },
  };
}

test('TASK-77 ARMY-100 BLOG-91 NOOB-127 a far end that leaves two pings unanswered is let go, one that answers stays', async t => {
  const { clock, connect } = await setup(t);
  const [mute, lively] = [await connect(false), await connect(true)];
  for (let ping = 1; ping <= 2; ping++) {
    const pinged = [mute, lively].map(({ socket }) => once(socket, 'ping'));
    await clock.advance(PING_MS);
    await Promise.all(pinged);
    // Its answer has come once an answer to what was sent after it has.
    await roundTrip(lively.socket);
    assert.deepEqual([mute.socket.readyState, lively.socket.readyState], [WebSocket.OPEN, WebSocket.OPEN]);
  }
  await clock.advance(PING_MS);
  assert.equal(await mute.closed, 1006);
  await roundTrip(lively.socket);
  assert.equal(lively.socket.readyState, WebSocket.OPEN);
});

test('TASK-77 ARMY-100 BLOG-91 NOOB-127 a socket whose credentials have expired is closed with 4401', async t => {
  const { clock, connect, credentials } = await setup(t);
  const { socket, closed } = await connect(true);
  await clock.advance(RECHECK_MS);
  await roundTrip(socket);
  assert.equal(socket.readyState, WebSocket.OPEN);
  credentials.areGood = false;
  await clock.advance(RECHECK_MS);
  assert.equal(await closed, 4401);
});

async function roundTrip(socket: WebSocket): Promise<void> {
  const answered = once(socket, 'pong');
  socket.ping();
  await answered;
}
