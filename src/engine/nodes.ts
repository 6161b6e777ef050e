// Who else works on the same store. Each node keeps a document alive for as long as it lives; one of them, whoever holds the lease of
// it, does the chores that one suffices for. No node depends on another: guards and fencing tokens keep every change right whoever
// makes it, so a wrong belief about who leads costs work, never a task.

import type { Agent } from '../domain/agent.ts';
import type { AgentId } from '../domain/ids.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { TaskError } from '../domain/task.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Store } from '../store/store.ts';
import type { NodeView } from './api.ts';
import type { Attempts } from './attempts.ts';
import type { Roster } from './roster.ts';
import type { Settlement } from './settlement.ts';

const NODE = { tenant: DEFAULT_TENANT, kind: 'node' } as const;
const LEADER = { tenant: DEFAULT_TENANT, kind: 'node_leader', id: 'chores' } as const;
/** A node that was not heard of for three and a half beats is taken for dead. */
const BEAT_MS = 2_000;
const LIFE_MS = 7_000;

/** A node's document: how it is, and the agent inside it. */
interface NodeRecord extends NodeView {
  readonly agent: Agent | null;
}

/** What a node says of itself. */
export interface NodeSelf {
  readonly id: AgentId;
  readonly version: string;
  /** Where it can be reached, where that is known. */
  readonly url: () => string | null;
  readonly region?: string;
  readonly labels?: readonly string[];
}

/** The nodes of a store, as this one sees them. */
export class Nodes {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'capabilities' | 'documents' | 'putDocuments' | 'leases'>;
  readonly #attempts: Attempts;
  readonly #settlement: Settlement;
  readonly #roster: Pick<Roster, 'inOtherNodes'>;
  readonly #self: NodeSelf;
  readonly #startedAt: number;
  #seen: readonly NodeView[] = [];
  /** Nodes that vanished and whose tasks nobody has taken back yet, as far as this node knows. */
  readonly #gone = new Set<string>();
  #leadsUntil = Number.NEGATIVE_INFINITY;
  #agent: Agent | null = null;
  #draining = false;
  #timer: Cancel | null = null;
  #beating: Promise<void> | null = null;
  #open = false;

  constructor(
    log: Log,
    clock: Clock,
    store: Pick<Store, 'capabilities' | 'documents' | 'putDocuments' | 'leases'>,
    rooms: {
      readonly attempts: Attempts;
      readonly settlement: Settlement;
      readonly roster: Pick<Roster, 'inOtherNodes'>;
    },
    self: NodeSelf,
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#store = store;
    this.#attempts = rooms.attempts;
    this.#settlement = rooms.settlement;
    this.#roster = rooms.roster;
    this.#self = self;
    this.#startedAt = clock.now();
  }

  /** Makes itself known; alone on its store, a node has nobody to tell. */
  async start(): Promise<void> {
    if (!this.#store.capabilities.shared) return;
    this.#open = true;
    // What a node of this name ran before it ended, nobody runs now.
    this.#gone.add(this.#self.id);
    await this.#takeBack();
    await this.#beat();
    this.#schedule();
  }

  /** Tells the other nodes of the agent inside this one: what it can run may be handed in anywhere. */
  async offer(agent: Agent): Promise<void> {
    this.#agent = agent;
    if (this.#open) await this.#beat();
  }

  /** Whether the chores are this node's: sweeping, purging. */
  get leads(): boolean {
    return !this.#store.capabilities.shared || this.#clock.monotonic() < this.#leadsUntil;
  }

  /** All nodes by id, those that vanish within seconds among them; with `leads` as of the last beat. */
  list(): readonly NodeView[] {
    return this.#store.capabilities.shared ? this.#seen : [this.#view()];
  }

  /** Says that it takes no new work. */
  async drain(): Promise<void> {
    this.#draining = true;
    if (this.#open) await this.#beat().catch(() => {});
  }

  /** Says goodbye, so that nobody takes it for dead. */
  async stop(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#timer?.();
    await this.#beating?.catch(() => {});
    const led = this.leads;
    this.#leadsUntil = Number.NEGATIVE_INFINITY;
    const farewells = [{ ...NODE, id: this.#self.id, body: null }];
    await this.#store.putDocuments(led ? [...farewells, { ...LEADER, body: null }] : farewells);
  }

  #schedule(): void {
    this.#timer = this.#clock.after(BEAT_MS, () => {
      this.#beating = this.#beat()
        .catch(error => this.#log.warn('this node could not say that it lives', { error: String(error) }))
        .then(() => {
          if (this.#open) this.#schedule();
        });
    });
  }

  async #beat(): Promise<void> {
    await this.#contend();
    await this.#store.putDocuments([
      {
        ...NODE,
        id: this.#self.id,
        body: { ...this.#view(), agent: this.#agent } satisfies NodeRecord as unknown as JsonObject,
        expiresAt: this.#clock.now() + LIFE_MS,
      },
    ]);
    const documents = await this.#store.documents(NODE);
    const records = documents.map(({ body }) => body as unknown as NodeRecord);
    const seen = records.map(({ agent: _, ...view }) => view);
    const others = records.filter(({ id }) => id !== this.#self.id);
    this.#roster.inOtherNodes(
      others.flatMap(({ agent, state, running }) =>
        agent === null ? [] : { agent: { ...agent, draining: state === 'draining' }, running },
      ),
    );
    const living = new Set(seen.map(({ id }) => id));
    for (const { id } of this.#seen) if (!living.has(id)) this.#gone.add(id);
    for (const id of living) this.#gone.delete(id);
    this.#seen = seen;
    if (this.leads) await this.#takeBack();
  }

  /** Keeps the lease of the chores, or takes it where nobody has it. */
  async #contend(): Promise<void> {
    const asked = this.#clock.monotonic();
    const [held] = await this.#store.documents({ kind: LEADER.kind, tenant: LEADER.tenant });
    if (held !== undefined && held.body.node !== this.#self.id) return;
    const [outcome] = await this.#store.putDocuments([
      {
        ...LEADER,
        body: { node: this.#self.id },
        expected: held?.version ?? 'absent',
        expiresAt: this.#clock.now() + LIFE_MS,
      },
    ]);
    const won = outcome?.status === 'done';
    if (won && !this.leads) this.#log.info('this node does the chores now');
    this.#leadsUntil = won ? asked + LIFE_MS : Number.NEGATIVE_INFINITY;
  }

  /** What vanished nodes ran is tried again without waiting for its leases to expire. */
  async #takeBack(): Promise<void> {
    for (const id of this.#gone) {
      const error: TaskError = {
        code: 'unavailable',
        message: `the node ${id} ended while it ran the task`,
        recoverable: true,
      };
      const leases = await this.#store.leases({ agentId: id as AgentId });
      const left = await Promise.allSettled(
        leases.map(async ({ tenant, taskId, token }) => {
          const attempt = await this.#attempts.find(tenant, taskId, token);
          const cause = { actor: 'system', reason: 'node lost', error };
          await this.#settlement.fail(attempt, cause, { metrics: {} }, { agent: id as AgentId });
        }),
      );
      const taken = left.filter(({ status }) => status === 'fulfilled').length;
      if (leases.length > 0) this.#log.warn('took back what a vanished node ran', { node: id, tasks: taken });
      this.#gone.delete(id);
    }
  }

  #view(): NodeView {
    return {
      id: this.#self.id,
      version: this.#self.version,
      url: this.#self.url(),
      ...(this.#self.region === undefined ? {} : { region: this.#self.region }),
      ...(this.#self.labels === undefined ? {} : { labels: this.#self.labels }),
      startedAt: this.#startedAt,
      seenAt: this.#clock.now(),
      state: this.#draining ? 'draining' : 'active',
      leads: this.leads,
      running: [...this.#attempts.all()].filter(({ stop }) => stop !== null).length,
    };
  }
}
