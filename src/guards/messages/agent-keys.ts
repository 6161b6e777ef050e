// Keeps the keys by which agents sign their messages and receive confidential ones. Nothing is cached: a signed message is read
// against the keys as they stand, so a revocation holds on every node from its answer on.

import type { KeyObject } from 'node:crypto';
import { DomainError } from '../../domain/errors.ts';
import type { AgentId, TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import { Batcher } from '../../runtime/batcher.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import {
  changeDocument,
  createDocument,
  type DocumentRef,
  type Documents,
  oneDocument,
} from '../documents.ts';
import type { SealContext, Vault } from '../vault.ts';
import {
  type AgentKeyView,
  isGood,
  KEY_WRAPPING,
  type KeptJwk,
  keptJwk,
  kidOf,
  verificationKey,
} from './agent-key.ts';

/** Whose keys. */
export interface AgentRef {
  readonly tenant: TenantId;
  readonly agentId: AgentId;
}

/** What is asked for when a key is registered; instants are epoch milliseconds. */
export interface NewAgentKey {
  readonly jwk: JsonObject;
  /** Now, where absent. */
  readonly notBefore?: number;
  readonly expiresAt?: number;
  /** The `kid` of a key that this one takes over from; it stays good for 24 h more at most. */
  readonly replaces?: string;
}

/** A key good for verifying now. */
export interface VerificationKey {
  readonly algorithm: 'EdDSA' | 'HS256';
  readonly key: KeyObject;
}

/** A key good for encrypting to its agent now. */
export interface ReceiverKey {
  readonly kid: string;
  readonly publicJwk: JsonObject;
}

interface StoredKey {
  readonly view: AgentKeyView;
  /** Of a shared secret. */
  readonly sealed: string | null;
}

interface KeysBody {
  readonly keys: readonly StoredKey[];
}

const KIND = 'agent_keys';
const KEYS_MAX = 50;
const OVERLAP_MS = 24 * 3_600_000;

/** The keys of the agents of all tenants. */
export class AgentKeys {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #store: Documents;
  readonly #vault: Vault;
  readonly #reader: Batcher<AgentRef, readonly StoredKey[]>;

  constructor(clock: Clock, random: Random, store: Documents, vault: Vault) {
    this.#clock = clock;
    this.#random = random;
    this.#store = store;
    this.#vault = vault;
    this.#reader = new Batcher(refs => this.#readAll(refs));
  }

  /**
   * Registers a key; throws `invalid_request` for an unfit one, `conflict` where the agent has one of that `kid`, `not_found` where the
   * one it replaces is none, `unprocessable` past 50 keys that are good or yet to be.
   */
  async add(agent: AgentRef, asked: NewAgentKey): Promise<AgentKeyView> {
    const kid = kidOf(asked.jwk) ?? `ak_${this.#random.uuid()}`;
    const kept = await keptJwk(asked.jwk);
    const now = this.#clock.now();
    const view: AgentKeyView = {
      kid,
      algorithm: kept.algorithm,
      publicJwk: kept.algorithm === 'HS256' ? null : kept.publicJwk,
      notBefore: asked.notBefore ?? now,
      expiresAt: asked.expiresAt ?? null,
      revokedAt: null,
      createdAt: now,
    };
    refuseOver(view, now);
    const sealed = kept.algorithm === 'HS256' ? this.#vault.seal(kept.secret, contextOf(agent, kid)) : null;
    await createDocument(this.#store, refOf(agent), { keys: [] });
    await this.#change(agent, keys => {
      const others = asked.replaces === undefined ? keys : outgoing(keys, asked.replaces, now + OVERLAP_MS);
      if (others.some(one => one.view.kid === kid))
        throw new DomainError('conflict', `the agent has a key ${kid}`);
      return [...roomFor(others, now), { view, sealed }];
    });
    return view;
  }

  /** All keys of an agent, oldest first; those that are over stay until others need their place. */
  async list(agent: AgentRef): Promise<readonly AgentKeyView[]> {
    return (await this.#reader.add(agent)).map(one => one.view);
  }

  /** Ends a key: no node takes it from here on; repeating it changes nothing; throws `not_found`. */
  async revoke(agent: AgentRef, kid: string): Promise<AgentKeyView> {
    const now = this.#clock.now();
    const keys = await this.#change(agent, all =>
      changed(all, kid, view => ({ ...view, revokedAt: view.revokedAt ?? now })),
    );
    return viewOf(keys, kid);
  }

  /** Forgets all keys of an agent that is no more. */
  async removeAll(agent: AgentRef): Promise<void> {
    if ((await oneDocument(this.#store, refOf(agent))) === null) return;
    await this.#store.putDocuments([{ ...refOf(agent), body: null }]);
  }

  /** The key of that `kid` if the agent has it, and it is good now; null for whatever else. */
  async forVerifying(agent: AgentRef, kid: string): Promise<VerificationKey | null> {
    const keys = await this.#reader.add(agent);
    const found = keys.find(({ view }) => view.kid === kid && isGood(view, this.#clock.now()));
    if (found === undefined || found.view.algorithm === KEY_WRAPPING) return null;
    return { algorithm: found.view.algorithm, key: verificationKey(this.#opened(agent, found)) };
  }

  /** The newest key to encrypt to the agent with, or null. */
  async forReceiving(agent: AgentRef): Promise<ReceiverKey | null> {
    const keys = await this.#reader.add(agent);
    const now = this.#clock.now();
    const newest = keys.findLast(({ view }) => view.algorithm === KEY_WRAPPING && isGood(view, now));
    const publicJwk = newest?.view.publicJwk ?? null;
    return newest === undefined || publicJwk === null ? null : { kid: newest.view.kid, publicJwk };
  }

  #opened(agent: AgentRef, { view, sealed }: StoredKey): KeptJwk {
    if (sealed !== null)
      return { algorithm: 'HS256', secret: this.#vault.open(sealed, contextOf(agent, view.kid)) };
    return { algorithm: 'EdDSA', publicJwk: view.publicJwk ?? {} };
  }

  async #change(
    agent: AgentRef,
    change: (keys: readonly StoredKey[]) => readonly StoredKey[],
  ): Promise<readonly StoredKey[]> {
    const body = await changeDocument(this.#store, refOf(agent), old => {
      const keys = change((old as unknown as KeysBody).keys);
      return { keys } as unknown as JsonObject;
    });
    return (body as unknown as KeysBody).keys;
  }

  async #readAll(refs: readonly AgentRef[]): Promise<readonly (readonly StoredKey[])[]> {
    const byTenant = Map.groupBy(refs, ref => ref.tenant);
    const read = [...byTenant].map(async ([tenant, ofTenant]) => {
      const ids = [...new Set(ofTenant.map(ref => ref.agentId))];
      const found = await this.#store.documents({ kind: KIND, tenant, ids });
      return [tenant, new Map(found.map(one => [one.id, (one.body as unknown as KeysBody).keys]))] as const;
    });
    const keys = new Map(await Promise.all(read));
    return refs.map(({ tenant, agentId }) => keys.get(tenant)?.get(agentId) ?? []);
  }
}

function refuseOver({ notBefore, expiresAt }: AgentKeyView, now: number): void {
  if (expiresAt === null || (expiresAt > notBefore && expiresAt > now)) return;
  const message = 'must be later than now and than not_before';
  throw new DomainError('invalid_request', `expires_at ${message}`, {
    details: { errors: [{ field: 'expires_at', message }] },
  });
}

function outgoing(keys: readonly StoredKey[], kid: string, until: number): readonly StoredKey[] {
  return changed(keys, kid, view => ({ ...view, expiresAt: Math.min(view.expiresAt ?? until, until) }));
}

function changed(
  keys: readonly StoredKey[],
  kid: string,
  change: (view: AgentKeyView) => AgentKeyView,
): readonly StoredKey[] {
  viewOf(keys, kid);
  return keys.map(one => (one.view.kid === kid ? { ...one, view: change(one.view) } : one));
}

function viewOf(keys: readonly StoredKey[], kid: string): AgentKeyView {
  const found = keys.find(one => one.view.kid === kid);
  if (found === undefined) throw new DomainError('not_found', 'the agent has no such key');
  return found.view;
}

/** The keys with room for one more: the oldest that are over give way. */
function roomFor(keys: readonly StoredKey[], now: number): readonly StoredKey[] {
  if (keys.length < KEYS_MAX) return keys;
  const isOver = ({ view }: StoredKey): boolean =>
    view.revokedAt !== null || (view.expiresAt !== null && view.expiresAt <= now);
  const oldest = keys.find(isOver);
  if (oldest === undefined)
    throw new DomainError('unprocessable', `an agent has ${KEYS_MAX} keys at most: revoke one first`);
  return keys.filter(one => one !== oldest);
}

function refOf({ tenant, agentId }: AgentRef): DocumentRef {
  return { tenant, kind: KIND, id: agentId };
}

function contextOf({ tenant, agentId }: AgentRef, kid: string): SealContext {
  return { tenant, purpose: `agent_key/${agentId}/${kid}` };
}
