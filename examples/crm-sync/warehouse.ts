// The warehouse: down for maintenance when it is first needed, knows how far it got, and takes an import once for each idempotency key.

import type { ServerResponse } from 'node:http';
import { type Asked, json } from '../far-end.ts';
import { type Customer, EVER } from './crm.ts';

/** Tries of an import that find it down: more than one attempt of the task makes. */
const DOWN_FOR = 2;

/** A warehouse without customers. */
export class Warehouse {
  /** Imports that met it while it was down. */
  refused = 0;
  /** Changes that were imported though they had been before. */
  twice = 0;
  readonly customers = new Map<number, Customer>();
  readonly #imported: () => void;
  readonly #changes = new Set<string>();
  readonly #answers = new Map<string, object>();
  #until = EVER;

  /** `imported` hears of each import. */
  constructor(imported: () => void) {
    this.#imported = imported;
  }

  state(_: Asked, response: ServerResponse): void {
    json(response, { until: this.#until });
  }

  import({ headers, body }: Asked, response: ServerResponse): void {
    const key = String(headers['idempotency-key']);
    const before = this.#answers.get(key);
    if (before !== undefined) return void json(response, before);
    if (this.refused < DOWN_FOR) {
      this.refused += 1;
      return void json(response, { error: 'down for maintenance' }, 503);
    }
    const { customers, until } = JSON.parse(body) as { customers: readonly Customer[]; until: string };
    for (const one of customers) this.#take(one);
    this.#until = until;
    this.#imported();
    const answer = { imported: customers.length };
    this.#answers.set(key, answer);
    json(response, answer);
  }

  #take(one: Customer): void {
    const change = `${one.id} ${one.updated_at}`;
    if (this.#changes.has(change)) this.twice += 1;
    this.#changes.add(change);
    this.customers.set(one.id, one);
  }
}
