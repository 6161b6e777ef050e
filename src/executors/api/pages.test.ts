import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../domain/json.ts';
import { farEnd, type House, setup } from './fixture.test.ts';
import { nextLink } from './pages.ts';

const ITEMS = Array.from({ length: 25 }, (_, index) => ({ id: index }));

async function listed(house: House, url: string, pagination: object, more: object = {}): Promise<JsonObject> {
  return await house.response({ request: { url, pagination, ...more } } as JsonObject);
}

function ids(response: JsonObject): readonly number[] {
  return (response.body as readonly { id: number }[]).map(({ id }) => id);
}

const ALL = ITEMS.map(({ id }) => id);

test('SAM-157 pages by number and by offset are gathered into one list', async t => {
  const house = await setup(t);
  const numbered = await farEnd(t, ({ query }) => {
    const start = (Number(query.get('page')) - 1) * Number(query.get('per_page'));
    return { json: { data: ITEMS.slice(start, start + Number(query.get('per_page'))) } };
  });
  const byPage = await listed(
    house,
    numbered.url,
    { type: 'page', size: 10, items: 'body.data' },
    { extract: { count: 'length(body)' } },
  );
  assert.deepEqual(ids(byPage), ALL);
  const { pages, items, stopped, extracted } = byPage;
  assert.deepEqual([pages, items, stopped, extracted], [3, 25, 'end', { count: 25 }]);
  const offsets = await farEnd(t, ({ query }) => {
    const from = Number(query.get('from'));
    return { json: ITEMS.slice(from, from + 7) };
  });
  const byOffset = await listed(house, offsets.url, { type: 'offset', parameter: 'from' });
  assert.deepEqual([ids(byOffset), byOffset.pages, byOffset.stopped], [ALL, 5, 'end']);
});

test('SAM-157 pages by cursor, by the URL of the next one and by Link header are gathered into one list', async t => {
  const house = await setup(t);
  const far = await farEnd(t, ({ path, query }) => {
    const from = Number(query.get('after') ?? 0);
    const next = from + 10 < ITEMS.length ? String(from + 10) : null;
    const data = ITEMS.slice(from, from + 10);
    const url = next === null ? null : `${path}?after=${next}`;
    if (path === '/link')
      return { json: data, headers: url === null ? {} : { link: `<${url}>; rel="next", </>; rel=first` } };
    return { json: { data, next, url } };
  });
  const cursor = { type: 'cursor', items: 'body.data', cursor: 'body.next', parameter: 'after' };
  const byUrl = { type: 'cursor', items: 'body.data', cursor: 'body.url' };
  for (const [path, pagination] of [
    ['/cursor', cursor],
    ['/url', byUrl],
    ['/link', { type: 'link' }],
  ] as const) {
    const response = await listed(house, far.url + path, pagination);
    assert.deepEqual([ids(response), response.pages, response.stopped], [ALL, 3, 'end'], path);
  }
});

test('SAM-157 a cursor that leads in a circle, and a server that knows no pages, end the list and say so', async t => {
  const house = await setup(t);
  const circle = await farEnd(t, ({ query }) => ({
    json: { data: [{ id: Number(query.get('c') ?? 0) }], next: query.get('c') === '1' ? '2' : '1' },
  }));
  const cursor = { type: 'cursor', items: 'body.data', cursor: 'body.next', parameter: 'c' };
  const round = await listed(house, circle.url, cursor);
  assert.deepEqual([ids(round), round.stopped], [[0, 1, 2], 'repeated']);
  assert.ok(house.lines.some(line => line.startsWith('WARN the list leads in a circle')));
  const deaf = await farEnd(t, () => ({ json: ITEMS }));
  const same = await listed(house, deaf.url, { type: 'page' });
  assert.deepEqual([ids(same), same.stopped, deaf.seen.length], [ALL, 'repeated', 2]);
});

test('SAM-157 an endless list ends at the pages, items or bytes the task allows', async t => {
  const house = await setup(t);
  const far = await farEnd(t, ({ query }) => ({ json: [{ id: Number(query.get('page')) }] }));
  const rate = { rate_limit: { requests_per_second: 1_000 } };
  const run = async (limits: object): Promise<readonly unknown[]> => {
    const { responses } = await house.output({
      ...rate,
      request: { url: far.url, pagination: { type: 'page', ...limits } },
    });
    const [{ pages, items, stopped } = {}] = responses as readonly JsonObject[];
    return [pages, items, stopped];
  };
  assert.deepEqual(await run({}), [100, 100, 'max_pages']);
  assert.deepEqual(await run({ max_pages: 3 }), [3, 3, 'max_pages']);
  assert.deepEqual(await run({ max_items: 2 }), [2, 2, 'max_items']);
  assert.deepEqual(await run({ max_bytes: 25 }), [3, 2, 'max_bytes']);
});

test('SAM-160 a list over 4 MiB becomes an artifact of one item a line, its pages never held together', async t => {
  const house = await setup(t);
  const text = 'x'.repeat(900_000);
  const far = await farEnd(t, ({ query }) => ({
    json: Number(query.get('page')) > 6 ? [] : [{ page: query.get('page'), text }],
  }));
  const response = await listed(house, far.url, { type: 'page' }, { save_as: 'pages' });
  assert.deepEqual([response.body, response.items], [undefined, 6]);
  const lines = house.saved.get('pages.ndjson')?.toString().trimEnd().split('\n') ?? [];
  assert.deepEqual(
    lines.map(line => JSON.parse(line).page),
    ['1', '2', '3', '4', '5', '6'],
  );
});

test('SAM-161 the next page is not followed to another origin', async t => {
  const house = await setup(t);
  const stranger = await farEnd(t, () => ({ json: [] }));
  const far = await farEnd(t, () => ({ json: ITEMS, headers: { link: `<${stranger.url}/2>; rel=next` } }));
  const error = await house.error({ request: { url: far.url, pagination: { type: 'link' } } });
  assert.match(error.message, /another origin/);
  assert.equal(stranger.seen.length, 0);
});

test('a page that fails is tried again by itself, and one that is no list fails the task', async t => {
  const house = await setup(t);
  const far = await farEnd(t, ({ query }, count) => {
    if (count === 2) return { status: 503 };
    return { json: query.get('page') === '1' ? [{ id: 1 }] : [] };
  });
  const response = await listed(house, far.url, { type: 'page' }, { retry: { delay: 0.001 } });
  assert.deepEqual([ids(response), response.pages, response.attempts], [[1], 2, 3]);
  const shapeless = await farEnd(t, () => ({ json: { data: 1 } }));
  const error = await house.error({
    request: { url: shapeless.url, pagination: { type: 'page', items: 'body.data' } },
  });
  assert.match(error.message, /pagination\.items is not an array/);
});

test('the next link is found among others, and hostile headers are read in linear time', () => {
  assert.equal(
    nextLink('<https://a/1>; rel="prev", <https://a/3?x=1,2>; title="a, b"; rel="last next"'),
    'https://a/3?x=1,2',
  );
  assert.equal(nextLink('<https://a/1>; rel=prev'), null);
  assert.equal(nextLink(''), null);
  const started = performance.now();
  nextLink('<a>;"'.repeat(3_000));
  nextLink('<'.repeat(16_000));
  assert.ok(performance.now() - started < 1_000);
});
