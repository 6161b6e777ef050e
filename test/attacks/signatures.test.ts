import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { after, suite, test } from 'node:test';
import fc from 'fast-check';
import { signedHeaders } from '../../src/sdk/signing.ts';
import { running } from '../e2e/running.ts';

const SEED = 20_260_101;
const house = await running();
after(() => house.stop());
const { admin } = house;
const { body: key } = await admin.post('/api/v2/api-keys', {
  name: 'signer',
  permissions: ['task:read', 'task:control'],
  require_signature: true,
});

/** A request as it goes over the wire: nothing is added or corrected on the way. */
interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: string;
}

async function statusOf(sent: Sent): Promise<number> {
  const { hostname, port } = new URL(house.url);
  const headers = { ...sent.headers, 'content-length': String(Buffer.byteLength(sent.body)) };
  const asked = request({
    hostname,
    port,
    method: sent.method,
    path: sent.path,
    headers,
    agent: false,
    setHost: false,
  });
  asked.end(sent.body);
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  answer.resume();
  await once(answer, 'end');
  return answer.statusCode ?? 0;
}

async function signed(): Promise<Sent> {
  const path = '/api/v2/tasks/no-such-task/cancel?b=2&a=%C3%BC+x&a=1';
  const body = '{"reason":"because"}';
  const host = new URL(house.url).host;
  const proof = await signedHeaders(
    { keyId: key.api_key, secret: key.api_secret },
    {
      method: 'POST',
      host,
      path: '/api/v2/tasks/no-such-task/cancel',
      query: 'b=2&a=%C3%BC+x&a=1',
      contentType: 'application/json',
      body: Buffer.from(body),
      timestamp: Math.floor(Date.now() / 1_000),
      nonce: randomUUID(),
    },
  );
  return { method: 'POST', path, headers: { host, 'content-type': 'application/json', ...proof }, body };
}

const header = (sent: Sent, name: string): string => String(sent.headers[name]);
const withHeader = (sent: Sent, name: string, value: string | readonly string[]): Sent => ({
  ...sent,
  headers: { ...sent.headers, [name]: value },
});

/** Another character of the same kind in one place, so that only the signature can tell. */
function bent(text: string, at: number): string {
  const place = at % text.length;
  const old = text[place] ?? '';
  const hex = '0123456789abcdef';
  const fresh = hex.includes(old) ? (hex[(hex.indexOf(old) + 1) % 16] ?? '') : old === 'x' ? 'y' : 'x';
  return text.slice(0, place) + fresh + text.slice(place + 1);
}

type Change = (sent: Sent, at: number) => Sent;

const CHANGES: Readonly<Record<string, Change>> = {
  'the method': sent => ({ ...sent, method: 'PUT' }),
  'the path': (sent, at) => ({ ...sent, path: sent.path.replace('no-such-task', bent('no-such-task', at)) }),
  'the path’s spelling': sent => ({ ...sent, path: sent.path.replace('no-such', '%6Eo-such') }),
  'a parameter’s value': (sent, at) => ({ ...sent, path: sent.path.replace('b=2', `b=${3 + (at % 7)}`) }),
  'a parameter more': sent => ({ ...sent, path: `${sent.path}&c=` }),
  'a parameter less': sent => ({ ...sent, path: sent.path.replace('&a=1', '') }),
  'the body': (sent, at) => ({ ...sent, body: sent.body.replace('because', bent('because', at)) }),
  'the body’s spacing': sent => ({ ...sent, body: `${sent.body} ` }),
  'no body': sent => ({ ...sent, body: '' }),
  'the content type': sent => withHeader(sent, 'content-type', 'application/json; charset=utf-8'),
  'the host': sent => withHeader(sent, 'host', 'elsewhere.example'),
  'the nonce': (sent, at) => withHeader(sent, 'x-nonce', bent(header(sent, 'x-nonce'), at)),
  'no nonce': sent => {
    const { 'x-nonce': _, ...headers } = sent.headers;
    return { ...sent, headers };
  },
  'the time': (sent, at) =>
    withHeader(sent, 'x-timestamp', String(Number(header(sent, 'x-timestamp')) - 1 - (at % 9))),
  'the signature': (sent, at) => {
    const [before = '', signature = ''] = header(sent, 'authorization').split('Signature=');
    return withHeader(sent, 'authorization', `${before}Signature=${bent(signature, at)}`);
  },
  'the signature’s case': sent => {
    const [before = '', signature = ''] = header(sent, 'authorization').split('Signature=');
    return withHeader(sent, 'authorization', `${before}Signature=${signature.toUpperCase()}`);
  },
  'half the signature': sent =>
    withHeader(sent, 'authorization', header(sent, 'authorization').slice(0, -32)),
  'a header less signed': sent =>
    withHeader(sent, 'authorization', header(sent, 'authorization').replace('content-type;', '')),
  'the names’ order': sent =>
    withHeader(
      sent,
      'authorization',
      header(sent, 'authorization').replace('content-type;host', 'host;content-type'),
    ),
  'the scheme': sent =>
    withHeader(sent, 'authorization', header(sent, 'authorization').replace('SHA256', 'SHA512')),
  'a signed header twice': sent =>
    withHeader(sent, 'x-nonce', [header(sent, 'x-nonce'), header(sent, 'x-nonce')]),
};

suite('signed requests over the wire', () => {
  test('SAM-23 SAM-25 SAM-27 any change at all is refused, and the request it was made from still holds', async () => {
    const change = fc.constantFrom(...Object.keys(CHANGES));
    const property = fc.asyncProperty(change, fc.nat(1_000), async (name, at) => {
      const original = await signed();
      const altered = CHANGES[name]?.(original, at) ?? original;
      const status = await statusOf(altered);
      // A method the path does not have is nobody's to authenticate.
      assert.equal(status, name === 'the method' ? 404 : 401, name);
      assert.equal(await statusOf(original), 404, `after ${name}`);
    });
    const runs = Object.keys(CHANGES).map((name): [string, number] => [name, 3]);
    await fc.assert(property, { seed: SEED, numRuns: runs.length + 20, examples: runs });
  });

  test('SAM-26 replayed, at once or many times together, a request holds exactly once', async () => {
    const once = await signed();
    const statuses = await Promise.all(Array.from({ length: 12 }, () => statusOf(once)));
    assert.deepEqual(statuses.sort(), [...Array<number>(11).fill(401), 404].sort());
    assert.equal(await statusOf(once), 401);
  });

  test('SAM-22 SAM-25 a signature of one key is of no use to another', async () => {
    const { body: other } = await admin.post('/api/v2/api-keys', { name: 'other', permissions: ['admin'] });
    const mine = await signed();
    const stolen = header(mine, 'authorization').replace(key.api_key, other.api_key);
    assert.equal(await statusOf(withHeader(mine, 'authorization', stolen)), 401);
    for (const odd of ['', `${key.api_key}/..`, '*', 'bk_', `${key.api_key},${other.api_key}`])
      assert.equal(
        await statusOf(withHeader(mine, 'authorization', stolen.replace(other.api_key, odd))),
        401,
        odd,
      );
  });
});
