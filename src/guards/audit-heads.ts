// Where each tenant's audit ends, kept beside the chain: a chain alone does not show that its newest entries were cut off
// (`SAM-205`). A head only ever moves along entries that follow from where it is, so a cut chain that grew again does not pass for
// whole.

import type { TenantId } from '../domain/ids.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Service } from '../runtime/service.ts';
import type { Store } from '../store/store.ts';
import type { ChainFollower, ChainLink } from './audit.ts';
import { oneDocument } from './documents.ts';

const KIND = 'audit_head';
const ID = 'head';
const PAGE = 1_000;
/** A head may lag so far behind its chain; entries of this time could be cut off unseen. */
const LAG_MS = 1_000;

/** The heads of all tenants' audits. */
export class AuditHeads implements ChainFollower, Service {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'audit' | 'documents' | 'putDocuments'>;
  readonly #grown = new Set<TenantId>();
  #cancel: Cancel | null = null;
  #moving: Promise<void> = Promise.resolve();

  constructor(log: Log, clock: Clock, store: Pick<Store, 'audit' | 'documents' | 'putDocuments'>) {
    this.#log = log;
    this.#clock = clock;
    this.#store = store;
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    this.#cancel?.();
    this.#cancel = null;
    await this.move();
  }

  /** Entries of these tenants were written. */
  grow(tenants: Iterable<TenantId>): void {
    for (const tenant of tenants) this.#grown.add(tenant);
    this.#cancel ??= this.#clock.after(LAG_MS, () => {
      this.#cancel = null;
      void this.move();
    });
  }

  /** Resolves when the heads of all chains that grew have moved, or could not and wait for the next time. */
  move(): Promise<void> {
    this.#moving = this.#moving.then(() => this.#moveAll());
    return this.#moving;
  }

  /** The head of a tenant's chain, or null before its first. */
  async read(tenant: TenantId): Promise<ChainLink | null> {
    return (await this.#kept(tenant))?.link ?? null;
  }

  async #moveAll(): Promise<void> {
    const grown = [...this.#grown];
    this.#grown.clear();
    for (const tenant of grown) {
      try {
        await this.#move(tenant);
      } catch (error) {
        this.#log.warn('the head of an audit could not be kept', { tenant, error: String(error) });
        this.grow([tenant]);
      }
    }
  }

  async #move(tenant: TenantId): Promise<void> {
    const kept = await this.#kept(tenant);
    let link = kept?.link ?? { sequence: 0, hash: '' };
    if (kept !== null && !(await this.#holds(tenant, kept.link))) {
      this.#log.error('the audit does not reach its own head any more', { tenant, ...kept.link });
      return;
    }
    for (;;) {
      const entries = await this.#store.audit({ tenant, afterSequence: link.sequence, limit: PAGE });
      const last = entries.at(-1);
      if (last !== undefined) link = { sequence: last.sequence, hash: last.hash };
      if (entries.length < PAGE) break;
    }
    if (link.sequence === (kept?.link.sequence ?? 0)) return;
    const expected = kept === null ? ('absent' as const) : kept.version;
    // Where another node was first, it has moved the head; the next entry moves it on.
    await this.#store.putDocuments([{ tenant, kind: KIND, id: ID, body: { ...link }, expected }]);
  }

  async #holds(tenant: TenantId, { sequence, hash }: ChainLink): Promise<boolean> {
    const [entry] = await this.#store.audit({ tenant, afterSequence: sequence - 1, limit: 1 });
    return entry?.sequence === sequence && entry.hash === hash;
  }

  async #kept(tenant: TenantId): Promise<{ readonly link: ChainLink; readonly version: number } | null> {
    const found = await oneDocument(this.#store, { tenant, kind: KIND, id: ID });
    if (found === null) return null;
    const { sequence, hash } = found.body;
    return { link: { sequence: Number(sequence), hash: String(hash) }, version: found.version };
  }
}
