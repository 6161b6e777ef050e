// Which way a request goes: to the provider by the operator's permission, to everywhere else as any stranger, and without the key.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Outbound, OutboundRequest } from '../../engine/ports/outbound.ts';
import { systemClock } from '../../runtime/clock.ts';
import { KEY } from './fixture.test.ts';
import { PNG } from './model-server.test.ts';
import { createOpenAiProvider } from './provider.ts';

/** A way out that answers everything with these bytes, and remembers what was sent. */
function answering(body: Uint8Array): { readonly outbound: Outbound; readonly sent: OutboundRequest[] } {
  const sent: OutboundRequest[] = [];
  const outbound: Outbound = {
    async send(request) {
      sent.push(request);
      const head = { status: 200, headers: { 'content-type': 'application/json' } };
      await request.receive?.(
        head,
        (async function* () {
          yield body;
        })(),
      );
      return { ...head, body: new Uint8Array(), durationMs: 1 };
    },
    check: async () => {},
    stop: async () => {},
  };
  return { outbound, sent };
}

test('SAM-122 a picture a provider leaves on another host is fetched as from any stranger, without the key', async () => {
  const elsewhere = answering(PNG);
  const pictures = { data: [{ url: 'https://pictures.example.com/1.png' }] };
  const home = answering(Buffer.from(JSON.stringify(pictures)));
  const provider = createOpenAiProvider(
    {
      name: 'primary',
      baseUrl: 'https://api.example.com/v1',
      key: KEY,
      models: [],
      imageModel: 'painter',
      moderationModel: null,
      prices: {},
    },
    { clock: systemClock, outbound: home.outbound, elsewhere: elsewhere.outbound },
  );
  const { signal } = new AbortController();
  const { images } = await provider.draw({ model: 'painter', prompt: 'A lamp.', count: 1, signal });
  assert.deepEqual(
    images.map(one => Buffer.from(one)),
    [PNG],
  );
  assert.deepEqual(
    home.sent.map(({ url }) => url),
    ['https://api.example.com/v1/images/generations'],
  );
  assert.equal(home.sent[0]?.headers.authorization, `Bearer ${KEY}`);
  assert.deepEqual(
    elsewhere.sent.map(({ url }) => url),
    ['https://pictures.example.com/1.png'],
  );
  assert.ok(!JSON.stringify(elsewhere.sent[0]?.headers).includes(KEY));
});
