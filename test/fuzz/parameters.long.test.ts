import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { after, suite, test } from 'node:test';
import type { Operation, Schema } from '../e2e/contract.ts';
import { TEXTS } from './hostile.ts';
import { forAll, openScene, rightPath } from './scene.ts';

const scene = await openScene();
after(() => scene.stop());
const { admin } = scene;
const { operations } = admin.contract;
const nameOf = ({ method, path }: Operation): string => `${method} ${path}`;

/** What lies in a URL that is no value at all. */
const ODD_PARAMETERS = [
  '=%00',
  '=%ff%fe',
  '=%',
  '=%u0041',
  '',
  '=1&NAME=2',
  '[]=1',
  '[a][b]=1',
  '[__proto__]=1',
  '.a=1',
  '=%0d%0aX-Evil:1',
];

/** Headers that some part of the server reads, whether the document describes them or not. */
const HEADERS =
  'authorization x-api-key x-api-secret accept accept-encoding if-none-match range if-range last-event-id content-type x-checksum-sha256 repr-digest x-timestamp x-nonce cookie host origin x-forwarded-for'.split(
    ' ',
  );
const READING_HEADERS =
  /^\/api\/v2\/(?:execute-task|artifacts|(?:task-status|task-events|artifacts)\/\{\w+\})$/;
const HEADER_VALUES: readonly string[] = [
  '',
  ' ',
  '\u00ff\u00fe',
  'é',
  '"',
  "' OR 1=1 --",
  'x'.repeat(6_000),
  'HMAC-SHA256 Credential=',
  'Bearer ',
  'Basic !!!',
  'bytes=a-b',
  'W/""',
  '*',
  '0',
  '-1',
  'null',
  'multipart/form-data; boundary=',
];

/** By a client that sends any byte a header can hold. */
async function statusWith(operation: Operation, name: string, value: string): Promise<number> {
  const { hostname, port } = new URL(admin.url);
  const { method } = operation;
  const body = method === 'POST' ? '{}' : '';
  const usual = { 'content-type': 'application/json', 'content-length': body.length };
  const headers = { ...admin.credentials, ...usual, [name]: value };
  const path = rightPath(operation);
  const sent = request({ hostname, port, method, path, headers, setHost: name !== 'host' });
  sent.end(body);
  const signal = AbortSignal.timeout(15_000);
  const [answer] = (await once(sent, 'response', { signal })) as [IncomingMessage];
  answer.resume();
  return answer.statusCode ?? 0;
}

suite('parameters and headers', () => {
  const asked = operations.filter(one => one.method === 'GET');

  test('SAM-3 SAM-203 any text at all in a parameter or in the place of an id is 4xx or harmless', async () => {
    const texts = [...TEXTS.filter(text => text.length < 2_000), 'x'.repeat(2_000)];
    const cases = asked.flatMap(operation => {
      const names: string[] = operation.spec.parameters
        .filter((one: Schema) => one.in === 'query')
        .map((one: Schema) => one.name);
      const queries = [
        ...texts.map(text => `?${names.map(name => `${name}=${encodeURIComponent(text)}`).join('&')}`),
        ...ODD_PARAMETERS.map(odd => `?${names.map(name => name + odd.replace('NAME', name)).join('&')}`),
      ];
      const inPath = operation.path.includes('{')
        ? [...texts.map(encodeURIComponent), '%00', '%ff', '%', '..', '%2e%2e%2f', '%2F', '*', ':x'].map(
            odd => operation.path.replace(/\{\w+\}/g, odd),
          )
        : [];
      return [...queries.map(query => rightPath(operation) + query), ...inPath];
    });
    assert.ok(cases.length > 500);
    await forAll(cases, async path => {
      const { status } = await admin.get(path, { expect: null, beginning: true });
      assert.ok(status < 500, `${path} answered ${status}`);
    });
  });

  test('SAM-2 SAM-3 strange bytes in any header are 4xx or harmless, on every route that reads some', async () => {
    const described = operations.flatMap(one =>
      one.spec.parameters.filter((it: Schema) => it.in === 'header'),
    );
    const names = new Set([...HEADERS, ...described.map((one: Schema) => String(one.name).toLowerCase())]);
    const readers = operations.filter(
      one => READING_HEADERS.test(one.path) && ['GET', 'HEAD', 'POST'].includes(one.method),
    );
    const cases = readers.flatMap(operation =>
      [...names].flatMap(name => HEADER_VALUES.map(value => ({ operation, name, value }))),
    );
    assert.ok(cases.length > 2_000);
    await forAll(cases, async ({ operation, name, value }) => {
      const status = await statusWith(operation, name, value);
      const what = `${nameOf(operation)} with ${name}: ${value} answered ${status}`;
      assert.ok(status >= 200 && status < 500, what);
    });
  });
});
