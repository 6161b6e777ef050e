// The CRM, as CRMs are: behind OAuth2, its customers in pages, each with the instant at which it last changed.

import type { ServerResponse } from 'node:http';
import { type Asked, json } from '../far-end.ts';

/** A customer as both sides know it. */
export type Customer = {
  readonly id: number;
  readonly name: string;
  readonly updated_at: string;
};

/** What the CRM knows the sync by. */
export const CLIENT = { id: 'batuta', secret: 'crm-client-secret' } as const;

/** Before every change. */
export const EVER = '1970-01-01T00:00:00.000Z';

const CUSTOMERS = 250;
const A_PAGE = 50;
const TOKEN = 'crm-access-token';

/** Two hundred and fifty customers who changed in the last year. */
export class Crm {
  /** Pages given to whoever asked for all customers. */
  pagesOfAll = 0;
  readonly #customers = Array.from({ length: CUSTOMERS }, (_, at) => customer(at + 1));

  /** The first so many customers move. */
  change(count: number): void {
    const updated = new Date().toISOString();
    for (const [at, one] of this.#customers.slice(0, count).entries())
      this.#customers[at] = { ...one, name: `${one.name} (moved)`, updated_at: updated };
  }

  token({ body }: Asked, response: ServerResponse): void {
    const isKnown = new URLSearchParams(body).get('client_secret') === CLIENT.secret;
    if (isKnown) json(response, { access_token: TOKEN, token_type: 'Bearer', expires_in: 600 });
    else json(response, { error: 'invalid_client' }, 401);
  }

  list({ url, headers }: Asked, response: ServerResponse): void {
    if (headers.authorization !== `Bearer ${TOKEN}`)
      return void json(response, { error: 'who are you?' }, 401);
    const since = url.searchParams.get('updated_since') ?? EVER;
    if (since === EVER) this.pagesOfAll += 1;
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const changed = this.#customers.filter(({ updated_at: at }) => at > since);
    const next = from + A_PAGE < changed.length ? String(from + A_PAGE) : null;
    json(response, { customers: changed.slice(from, from + A_PAGE), next });
  }
}

function customer(id: number): Customer {
  const updated = new Date(Date.UTC(2025, 0, 1) + id * 86_400_000);
  return { id, name: `Customer ${id}`, updated_at: updated.toISOString() };
}
