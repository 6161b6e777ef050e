// The agents as documents, which any node reads and writes. What is read is held against what was written from here meanwhile: an
// older reading must not undo it.

import type { Agent } from '../domain/agent.ts';
import type { AgentId, TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Store } from '../store/store.ts';
import type { AgentRegistration } from './api.ts';

/** What is kept of an agent. */
export interface AgentRecord {
  readonly agent: Agent;
  readonly schemas: AgentRegistration['schemas'];
}

/** The agents as they were read. */
export interface AgentReading {
  readonly records: ReadonlyMap<string, AgentRecord>;
  /** Whether the agent of this key was written from here since, so that the reading says nothing of it. */
  readonly isOutdated: (key: string) => boolean;
}

const KIND = 'agent';

/** Names an agent among those of all tenants. */
export function keyOf(tenant: TenantId, id: AgentId): string {
  return `${tenant}\n${id}`;
}

/** The documents of all agents. */
export class AgentDocuments {
  readonly #store: Pick<Store, 'documents' | 'putDocuments'>;
  readonly #versions = new Map<string, number>();
  readonly #underWay = new Map<string, number>();
  /** As of which of all writes each was written last. */
  readonly #writtenAs = new Map<string, number>();
  #writes = 0;

  constructor(store: Pick<Store, 'documents' | 'putDocuments'>) {
    this.#store = store;
  }

  async read(): Promise<AgentReading> {
    const asOf = this.#writes;
    const documents = await this.#store.documents({ kind: KIND });
    const isOutdated = (key: string): boolean =>
      this.#underWay.has(key) || (this.#writtenAs.get(key) ?? 0) > asOf;
    const records = new Map<string, AgentRecord>();
    for (const { tenant, id, version, body } of documents) {
      const key = keyOf(tenant, id as AgentId);
      const { agent, schemas } = body as unknown as AgentRecord;
      records.set(key, { agent, schemas });
      if (!isOutdated(key)) this.#versions.set(key, version);
    }
    for (const key of this.#versions.keys())
      if (!records.has(key) && !isOutdated(key)) this.#versions.delete(key);
    return { records, isOutdated };
  }

  /** Writes an agent over whatever there is. */
  async write({ agent, schemas }: AgentRecord): Promise<void> {
    await this.#put(agent, bodyOf(agent, schemas));
  }

  /** Writes an agent that is still as it was last read or written here; answers whether it was. */
  async renew({ agent, schemas }: AgentRecord): Promise<boolean> {
    const known = this.#versions.get(keyOf(agent.tenant, agent.id));
    return this.#put(agent, bodyOf(agent, schemas), known ?? 'absent');
  }

  async remove(tenant: TenantId, id: AgentId): Promise<void> {
    await this.#put({ tenant, id }, null);
  }

  async #put(
    { tenant, id }: Pick<Agent, 'tenant' | 'id'>,
    body: JsonObject | null,
    expected?: number | 'absent',
  ): Promise<boolean> {
    const key = keyOf(tenant, id);
    this.#underWay.set(key, (this.#underWay.get(key) ?? 0) + 1);
    try {
      const guard = expected === undefined ? {} : { expected };
      const [outcome] = await this.#store.putDocuments([{ tenant, kind: KIND, id, body, ...guard }]);
      if (outcome?.status !== 'done') return false;
      this.#writtenAs.set(key, ++this.#writes);
      if (body === null) this.#versions.delete(key);
      else this.#versions.set(key, outcome.version);
      return true;
    } finally {
      const left = (this.#underWay.get(key) ?? 1) - 1;
      if (left > 0) this.#underWay.set(key, left);
      else this.#underWay.delete(key);
    }
  }
}

function bodyOf(agent: Agent, schemas: AgentRegistration['schemas']): JsonObject {
  return { agent, ...(schemas === undefined ? {} : { schemas }) } as unknown as JsonObject;
}
