// What this server knows of a SAM agent beside its registration: the credential it calls with, and the secrets the agent signs its
// webhooks with. Sealed at rest; the registration itself is the engine's.

import type { AgentId, TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import { sameBytes } from '../../guards/constant-time.ts';
import {
  changeDocument,
  createDocument,
  type DocumentRef,
  type Documents,
  everyDocument,
  oneDocument,
} from '../../guards/documents.ts';
import type { Vault } from '../../guards/vault.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import type { StoredDocument } from '../../store/rows.ts';

/** How this server proves itself to an agent. */
export type RemoteCredential =
  | { readonly kind: 'api_key'; readonly key: string; readonly secret: string }
  | { readonly kind: 'bearer'; readonly token: string };

/** Which agent. */
export interface AgentRef {
  readonly tenant: TenantId;
  readonly agentId: AgentId;
}

/** What is said when an agent is enrolled; what is absent stays as it was. */
export interface NewEnrolment extends AgentRef {
  readonly credential?: RemoteCredential;
  /** Made here when the agent has none: every task brings it along. */
  readonly webhookSecret?: string;
}

/** An enrolled agent. */
export interface Enrolment extends AgentRef {
  readonly credential: RemoteCredential | null;
  /** Newest first; a replaced one counts for another 24 h. */
  readonly webhookSecrets: readonly [string, ...string[]];
}

interface StoredSecret {
  readonly sealed: string;
  readonly expiresAt: number | null;
}

interface Stored {
  readonly credential: string | null;
  readonly secrets: readonly StoredSecret[];
}

const KIND = 'remote_agent';
const OVERLAP_MS = 86_400_000;
const KEPT_MAX = 4;

/** The enrolments of all tenants; nothing is cached. */
export class Enrolments {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #store: Documents;
  readonly #vault: Pick<Vault, 'seal' | 'open'>;

  constructor(clock: Clock, random: Random, store: Documents, vault: Pick<Vault, 'seal' | 'open'>) {
    this.#clock = clock;
    this.#random = random;
    this.#store = store;
    this.#vault = vault;
  }

  /** Enrols an agent, or changes what is known of it; a replaced webhook secret is accepted for another 24 h. */
  async enrol(agent: NewEnrolment): Promise<void> {
    const first = agent.webhookSecret ?? `whsec_${Buffer.from(this.#random.bytes(32)).toString('base64')}`;
    const created: Stored = {
      credential: this.#sealCredential(agent) ?? null,
      secrets: [this.#sealSecret(agent, first)],
    };
    if (await createDocument(this.#store, refOf(agent), bodyOf(created))) return;
    await changeDocument(this.#store, refOf(agent), body => {
      const known = storedOf(body);
      return bodyOf({
        credential: this.#sealCredential(agent) ?? known.credential,
        secrets: this.#rotated(agent, known.secrets),
      });
    });
  }

  /** Forgets an agent's credential and secrets; harmless if there are none. */
  async forget(agent: AgentRef): Promise<void> {
    await this.#store.putDocuments([{ ...refOf(agent), body: null }]);
  }

  /** The enrolment, or null. */
  async find(agent: AgentRef): Promise<Enrolment | null> {
    const found = await oneDocument(this.#store, refOf(agent));
    return found === null ? null : this.#open(found);
  }

  /** Every tenant's agent of that name. */
  async named(agentId: string): Promise<readonly Enrolment[]> {
    const found = await this.#store.documents({ kind: KIND, ids: [agentId] });
    return found.map(one => this.#open(one));
  }

  /** All enrolled agents, without opening what is sealed. */
  async refs(): Promise<readonly AgentRef[]> {
    const all = await everyDocument(this.#store, { kind: KIND });
    return all.map(({ tenant, id }) => ({ tenant, agentId: id as AgentId }));
  }

  #rotated(agent: NewEnrolment, known: readonly StoredSecret[]): readonly StoredSecret[] {
    const [newest] = known;
    const { webhookSecret } = agent;
    if (webhookSecret === undefined || newest === undefined) return known;
    const current = Buffer.from(this.#vault.open(newest.sealed, secretContext(agent)));
    if (sameBytes(Buffer.from(webhookSecret), current)) return known;
    const expiresAt = this.#clock.now() + OVERLAP_MS;
    return [this.#sealSecret(agent, webhookSecret), { ...newest, expiresAt }, ...known.slice(1, KEPT_MAX)];
  }

  #open({ tenant, id, body }: StoredDocument): Enrolment {
    const agent: AgentRef = { tenant, agentId: id as AgentId };
    const { credential, secrets } = storedOf(body);
    const now = this.#clock.now();
    const [newest, ...older] = secrets
      .filter(({ expiresAt }) => expiresAt === null || expiresAt > now)
      .map(({ sealed }) => this.#vault.open(sealed, secretContext(agent)));
    if (newest === undefined) throw new Error(`the agent ${id} is enrolled without a webhook secret`);
    return {
      ...agent,
      credential:
        credential === null
          ? null
          : (JSON.parse(this.#vault.open(credential, credentialContext(agent))) as RemoteCredential),
      webhookSecrets: [newest, ...older],
    };
  }

  #sealCredential(agent: NewEnrolment): string | undefined {
    if (agent.credential === undefined) return undefined;
    return this.#vault.seal(JSON.stringify(agent.credential), credentialContext(agent));
  }

  #sealSecret(agent: AgentRef, secret: string): StoredSecret {
    return { sealed: this.#vault.seal(secret, secretContext(agent)), expiresAt: null };
  }
}

function refOf({ tenant, agentId }: AgentRef): DocumentRef {
  return { tenant, kind: KIND, id: agentId };
}

function bodyOf(stored: Stored): JsonObject {
  return stored as unknown as JsonObject;
}

function storedOf(body: JsonObject): Stored {
  return body as unknown as Stored;
}

function credentialContext({ tenant, agentId }: AgentRef): { tenant: TenantId; purpose: string } {
  return { tenant, purpose: `remote_agent_credential/${agentId}` };
}

function secretContext({ tenant, agentId }: AgentRef): { tenant: TenantId; purpose: string } {
  return { tenant, purpose: `remote_agent_webhook_secret/${agentId}` };
}
