// How agents elsewhere say they are, as far as it decides whether they get work: one that holds more memory than its tenant allows gets
// none until it says that it holds less (`ARMY-72`). Known to all nodes.

import type { AgentId, TenantId } from '../../domain/ids.ts';
import type { Message } from '../../domain/message.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Store } from '../../store/store.ts';
import type { GuardrailKeeper } from '../ports/guardrails.ts';

/** What it needs. */
export interface ConditionsParts {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly store: Pick<Store, 'documents' | 'putDocuments'>;
  readonly guardrails: GuardrailKeeper;
}

const KIND = 'agent_excess';
const FRESH_MS = 500;
const AGENTS_MAX = 100_000;

/** The agents of all tenants that get no work. */
export class Conditions {
  readonly #parts: ConditionsParts;
  readonly #known = new Map<string, { readonly at: number; readonly mayWork: boolean }>();

  constructor(parts: ConditionsParts) {
    this.#parts = parts;
  }

  /** Takes note of an agent's word on its memory; messages about anything else say nothing. */
  async hear({ tenant, agentId, meaning }: Message): Promise<void> {
    if (meaning.act !== 'beat' || agentId === null) return;
    const { memory_mb: memoryMb } = meaning.condition;
    if (typeof memoryMb !== 'number') return;
    const { store, guardrails } = this.#parts;
    const limit = guardrails.of(tenant).agentMemoryMbMax;
    const isOver = memoryMb > limit;
    const wasOver = !(await this.#read(tenant, agentId));
    if (isOver === wasOver) return;
    const body = isOver ? { memory_mb: memoryMb, limit } : null;
    await store.putDocuments([{ tenant, kind: KIND, id: agentId, body }]);
    this.#note(tenant, agentId, !isOver);
    if (!isOver) return;
    const detail = { memory_mb: memoryMb, limit };
    guardrails.bit({ tenant, rule: 'agent_memory', principal: `agent:${agentId}`, object: agentId, detail });
  }

  /** Whether the agent may be given work, as of half a second ago; what it said to this node, as of now. */
  async mayWork(tenant: TenantId, agentId: AgentId): Promise<boolean> {
    const known = this.#known.get(nameOf(tenant, agentId));
    if (known !== undefined && this.#parts.clock.monotonic() - known.at < FRESH_MS) return known.mayWork;
    return this.#read(tenant, agentId);
  }

  async #read(tenant: TenantId, agentId: string): Promise<boolean> {
    const found = await this.#parts.store.documents({ tenant, kind: KIND, ids: [agentId] });
    this.#note(tenant, agentId, found.length === 0);
    return found.length === 0;
  }

  #note(tenant: TenantId, agentId: string, mayWork: boolean): void {
    if (this.#known.size >= AGENTS_MAX) this.#known.clear();
    this.#known.set(nameOf(tenant, agentId), { at: this.#parts.clock.monotonic(), mayWork });
  }
}

function nameOf(tenant: TenantId, agentId: string): string {
  return `${tenant}\n${agentId}`;
}
