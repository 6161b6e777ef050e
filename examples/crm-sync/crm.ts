// The two sides of the sync, as they are in life: a CRM behind OAuth2 that gives its customers in pages, and a warehouse that is down for
// maintenance when it is needed, and that must not be given anything twice.

import type { ServerResponse } from 'node:http';
import { type Asked, type FarEnd, farEnd, json } from '../far-end.ts';

/** A customer as both sides know it. */
export interface Customer {
  readonly id: number;
  readonly name: string;
  readonly updated_at: string;
}

/** Both sides, and what they saw. */
export interface Sides extends FarEnd {
  readonly warehouse: ReadonlyMap<number, Customer>;
  readonly counts: Counts;
}

/** What happened at the two sides. */
export interface Counts {
  /** Pages given to whoever asked for all customers. */
  readonly pagesOfAll: number;
  readonly tokens: number;
  /** Imports that met a warehouse that was down. */
  readonly refused: number;
  /** Changes of a customer that were imported, and those of them that had been before. */
  readonly imported: number;
  readonly twice: number;
}

/** What the CRM knows the sync by. */
export const CLIENT = { id: 'batuta', secret: 'crm-client-secret' } as const;

const CUSTOMERS = 250;
/** So many change in the CRM on the day after the first night; after that it is quiet. */
const CHANGED = 7;
const A_PAGE = 50;
const EVER = '1970-01-01T00:00:00.000Z';
const TOKEN = 'crm-access-token';
/** Tries of the import that find the warehouse down: more than one attempt of the task makes. */
const DOWN_FOR = 2;

/** Opens both, with customers of the last year. */
export async function openSides(): Promise<Sides> {
  const customers = new Map(
    Array.from({ length: CUSTOMERS }, (_, at) => [at + 1, customer(at + 1)] as const),
  );
  const warehouse = new Map<number, Customer>();
  let until = EVER;
  const answered = new Map<string, object>();
  const imported = new Set<string>();
  const counts = { pagesOfAll: 0, tokens: 0, refused: 0, imported: 0, twice: 0 };
  const change = (): void => {
    const now = new Date().toISOString();
    for (const one of [...customers.values()].slice(0, CHANGED))
      customers.set(one.id, { ...one, name: `${one.name} (moved)`, updated_at: now });
  };
  const token = ({ body }: Asked, response: ServerResponse): void => {
    counts.tokens += 1;
    const isKnown = new URLSearchParams(body).get('client_secret') === CLIENT.secret;
    if (isKnown) json(response, { access_token: TOKEN, token_type: 'Bearer', expires_in: 600 });
    else json(response, { error: 'invalid_client' }, 401);
  };
  const list = ({ url, headers }: Asked, response: ServerResponse): void => {
    if (headers.authorization !== `Bearer ${TOKEN}`)
      return void json(response, { error: 'who are you?' }, 401);
    const since = url.searchParams.get('updated_since') ?? EVER;
    if (since === EVER) counts.pagesOfAll += 1;
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const changed = [...customers.values()].filter(({ updated_at: at }) => at > since);
    const next = from + A_PAGE < changed.length ? String(from + A_PAGE) : null;
    json(response, { customers: changed.slice(from, from + A_PAGE), next });
  };
  const take = ({ headers, body }: Asked, response: ServerResponse): void => {
    const key = String(headers['idempotency-key']);
    const before = answered.get(key);
    if (before !== undefined) return void json(response, before);
    if (counts.refused < DOWN_FOR) {
      counts.refused += 1;
      return void json(response, { error: 'down for maintenance' }, 503);
    }
    const { customers: given, ...more } = JSON.parse(body) as {
      customers: readonly Customer[];
      until: string;
    };
    for (const one of given) {
      const change = `${one.id} ${one.updated_at}`;
      if (imported.has(change)) counts.twice += 1;
      imported.add(change);
      warehouse.set(one.id, one);
    }
    const isFirst = counts.imported === 0;
    counts.imported += given.length;
    until = more.until;
    if (isFirst) change();
    const answer = { imported: given.length };
    answered.set(key, answer);
    json(response, answer);
  };
  const handlers: Readonly<Record<string, (asked: Asked, response: ServerResponse) => void>> = {
    '/oauth/token': token,
    '/crm/customers': list,
    '/warehouse/state': (_, response) => json(response, { until }),
    '/warehouse/import': take,
  };
  const far = await farEnd((asked, response) => {
    const handle = handlers[asked.url.pathname];
    if (handle === undefined) json(response, { error: 'no such path' }, 404);
    else handle(asked, response);
  });
  return {
    url: far.url,
    warehouse,
    counts,
    [Symbol.asyncDispose]: () => far[Symbol.asyncDispose](),
  };
}

function customer(id: number): Customer {
  const updated = new Date(Date.UTC(2025, 0, 1) + id * 86_400_000);
  return { id, name: `Customer ${id}`, updated_at: updated.toISOString() };
}
