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
  /** Pages of customers that were given out, tokens too, and imports that were tried and done. */
  readonly counts: {
    readonly pages: number;
    readonly tokens: number;
    readonly tried: number;
    readonly done: number;
  };
  /** Some customers change in the CRM. */
  change(count: number): void;
}

/** What the CRM knows the sync by. */
export const CLIENT = { id: 'batuta', secret: 'crm-client-secret' } as const;

const CUSTOMERS = 250;
const A_PAGE = 50;
const TOKEN = 'crm-access-token';
/** Tries of the first import that find the warehouse down: more than one attempt of the task makes. */
const DOWN_FOR = 2;

/** Opens both, with customers of the last year. */
export async function openSides(): Promise<Sides> {
  const customers = new Map(
    Array.from({ length: CUSTOMERS }, (_, at) => [at + 1, customer(at + 1)] as const),
  );
  const warehouse = new Map<number, Customer>();
  const answered = new Map<string, object>();
  const counts = { pages: 0, tokens: 0, tried: 0, done: 0 };
  const token = ({ body }: Asked, response: ServerResponse): void => {
    counts.tokens += 1;
    const isKnown = new URLSearchParams(body).get('client_secret') === CLIENT.secret;
    if (isKnown) json(response, { access_token: TOKEN, token_type: 'Bearer', expires_in: 600 });
    else json(response, { error: 'invalid_client' }, 401);
  };
  const list = ({ url, headers }: Asked, response: ServerResponse): void => {
    if (headers.authorization !== `Bearer ${TOKEN}`)
      return void json(response, { error: 'who are you?' }, 401);
    counts.pages += 1;
    const since = url.searchParams.get('updated_since') ?? '';
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const changed = [...customers.values()].filter(({ updated_at: at }) => at > since);
    const next = from + A_PAGE < changed.length ? String(from + A_PAGE) : null;
    json(response, { customers: changed.slice(from, from + A_PAGE), next });
  };
  const take = ({ headers, body }: Asked, response: ServerResponse): void => {
    counts.tried += 1;
    const key = String(headers['idempotency-key']);
    const before = answered.get(key);
    if (before !== undefined) return void json(response, before);
    if (counts.tried <= DOWN_FOR) return void json(response, { error: 'down for maintenance' }, 503);
    const { customers: given } = JSON.parse(body) as { customers: readonly Customer[] };
    for (const one of given) warehouse.set(one.id, one);
    counts.done += 1;
    const answer = { imported: given.length };
    answered.set(key, answer);
    json(response, answer);
  };
  const handlers: Readonly<Record<string, (asked: Asked, response: ServerResponse) => void>> = {
    '/oauth/token': token,
    '/crm/customers': list,
    '/warehouse/import': take,
  };
  const far = await farEnd((asked, response) => {
    const handle = handlers[asked.url.pathname];
    if (handle === undefined) json(response, { error: 'no such path' }, 404);
    else handle(asked, response);
  });
  return {
    ...{ url: far.url, warehouse, counts, [Symbol.asyncDispose]: () => far[Symbol.asyncDispose]() },
    change(count) {
      const now = new Date().toISOString();
      for (const one of [...customers.values()].slice(0, count))
        customers.set(one.id, { ...one, name: `${one.name} (moved)`, updated_at: now });
    },
  };
}

function customer(id: number): Customer {
  const updated = new Date(Date.UTC(2025, 0, 1) + id * 86_400_000);
  return { id, name: `Customer ${id}`, updated_at: updated.toISOString() };
}
