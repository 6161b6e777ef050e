// Which node drives an agent: the one whose document stands, as long as it renews it in time. Alone on its store, a node always does.

import type { JsonObject } from '../../domain/json.ts';
import { type DocumentRef, type Documents, oneDocument } from '../../guards/documents.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import type { AgentRef } from './enrolment.ts';

const KIND = 'remote_agent_driver';
const SEAT_MS = 30_000;
const RENEW_MS = 8_000;

/** One agent's driving seat. */
export class DrivingSeat {
  readonly #agent: AgentRef;
  readonly #clock: Clock;
  readonly #store: Documents;
  readonly #shared: boolean;
  readonly #node: string;
  #renewedAt = Number.NEGATIVE_INFINITY;

  constructor(
    agent: AgentRef,
    clock: Clock,
    random: Random,
    store: Documents,
    options: { readonly shared: boolean },
  ) {
    this.#agent = agent;
    this.#clock = clock;
    this.#store = store;
    this.#shared = options.shared;
    this.#node = random.uuid();
  }

  /** Takes or keeps the seat; false while another node has it. */
  async take(): Promise<boolean> {
    if (!this.#shared) return true;
    const now = this.#clock.monotonic();
    if (now - this.#renewedAt < RENEW_MS) return true;
    // Versions begin anew with each driver, so only the name in the document tells whose it is.
    const found = await oneDocument(this.#store, this.#ref);
    const isFree = found === null || found.body.node === this.#node;
    const isMine = isFree && (await this.#write({ node: this.#node }, found?.version ?? 'absent'));
    this.#renewedAt = isMine ? now : Number.NEGATIVE_INFINITY;
    return isMine;
  }

  /** Frees the seat for the next node; harmless if it was not had. */
  async leave(): Promise<void> {
    this.#renewedAt = Number.NEGATIVE_INFINITY;
    if (!this.#shared) return;
    const found = await oneDocument(this.#store, this.#ref);
    if (found?.body.node === this.#node) await this.#write(null, found.version);
  }

  async #write(body: JsonObject | null, expected: 'absent' | number): Promise<boolean> {
    const expiresAt = this.#clock.now() + SEAT_MS;
    const [outcome] = await this.#store.putDocuments([{ ...this.#ref, body, expected, expiresAt }]);
    return outcome?.status === 'done';
  }

  get #ref(): DocumentRef {
    return { tenant: this.#agent.tenant, kind: KIND, id: this.#agent.agentId };
  }
}
