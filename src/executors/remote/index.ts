// SAM agents elsewhere as workers of this server: each registered one has a bridge that hands it tasks, and their webhooks come back
// to one receiver. Nothing of this is known to the engine, to which an agent's bridge is a worker like any other (`SAM-98`).

import type { EngineApi } from '../../engine/api.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { Sealer } from '../../engine/ports/sealer.ts';
import type { Vault } from '../../guards/vault.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Random } from '../../runtime/random.ts';
import type { Service } from '../../runtime/service.ts';
import { Watch } from '../../runtime/watch.ts';
import type { Blobs } from '../../store/blobs.ts';
import type { Store } from '../../store/store.ts';
import { AgentBridge } from './bridge.ts';
import { Delegations } from './delegation.ts';
import { type AgentRef, Enrolments, type NewEnrolment } from './enrolment.ts';
import { type Acknowledgement, type ReceivedWebhook, WebhookReceiver } from './receiver.ts';

export type { AgentRef, NewEnrolment, RemoteCredential } from './enrolment.ts';
export type { Acknowledgement, ReceivedWebhook } from './receiver.ts';

/** What delegating is built on. */
export interface RemoteParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  readonly engine: Pick<EngineApi, 'work' | 'agents' | 'task' | 'cancel'>;
  readonly store: Pick<Store, 'capabilities' | 'documents' | 'putDocuments' | 'artifacts' | 'putArtifacts'>;
  readonly blobs: Pick<Blobs, 'write'>;
  readonly outbound: Pick<Outbound, 'send'>;
  readonly vault: Pick<Vault, 'seal' | 'open'>;
  readonly sealer: Sealer;
}

/** How this server shows itself to agents. */
export interface RemoteOptions {
  readonly serverId: string;
  readonly version: string;
  /** Where agents send their webhooks: this server's `/api/v2/webhooks/task-completed`, absolute. */
  readonly receiverUrl: string;
  /** Without a word for so long, an agent is asked how a task is (60 s, `SAM-99`). */
  readonly silenceMs?: number;
}

/** The SAM agents this server delegates to. Stop it before the engine. */
export interface RemoteAgents extends Service {
  /** Takes an agent of kind `sam`, registered with the engine before or right after; repeated, it changes what is given. */
  enrol(agent: NewEnrolment): Promise<void>;
  /** Forgets an agent that was removed, cancelling what it still does for this server; harmless for others. */
  forget(agent: AgentRef): Promise<void>;
  /**
   * Stores an agent's webhook and acknowledges it. Throws `invalid_request` for missing proof, proof over 300 s off, or a body that
   * is no webhook, `unauthenticated` for a signature by no secret of the agent, `conflict` for another body under a delivery id of
   * the last 24 h (`SAM-95`, `SAM-96`).
   */
  receive(webhook: ReceivedWebhook): Promise<Acknowledgement>;
}

const REFRESH_MS = 800;
const SILENCE_MS = 60_000;
const REREAD_MS = { alone: 60_000, shared: 2_000 };

/** Delegation to SAM agents; nothing runs until it is started. */
export function createRemoteAgents(parts: RemoteParts, options: RemoteOptions): RemoteAgents {
  const { clock, random, store, vault, log } = parts;
  const enrolments = new Enrolments(clock, random, store, vault);
  const delegations = new Delegations(clock, store);
  const { shared } = store.capabilities;
  const bridges = new Bridges(log, clock, enrolments, agent => {
    return new AgentBridge(
      agent,
      { ...parts, enrolments, delegations },
      {
        ...options,
        shared,
        silenceMs: options.silenceMs ?? SILENCE_MS,
        rereadMs: shared ? REREAD_MS.shared : REREAD_MS.alone,
      },
    );
  });
  const receiver = new WebhookReceiver({
    ...parts,
    enrolments,
    delegations,
    onStored: delegation => bridges.wake(delegation),
  });
  return {
    start: () => bridges.start(),
    stop: () => bridges.stop(),
    async enrol(agent) {
      await enrolments.enrol(agent);
      await bridges.refresh();
    },
    async forget(agent) {
      await bridges.retire(agent);
      await enrolments.forget(agent);
      await bridges.refresh();
    },
    receive: webhook => receiver.receive(webhook),
  };
}

/** A bridge for every enrolled agent, wherever it was enrolled. */
class Bridges {
  readonly #log: Log;
  readonly #enrolments: Enrolments;
  readonly #open: (agent: AgentRef) => AgentBridge;
  readonly #bridges = new Map<string, AgentBridge>();
  readonly #watch: Watch;
  #running = false;
  #refreshed: Promise<void> = Promise.resolve();

  constructor(log: Log, clock: Clock, enrolments: Enrolments, open: (agent: AgentRef) => AgentBridge) {
    this.#log = log;
    this.#watch = new Watch(clock, REFRESH_MS, () => this.refresh());
    this.#enrolments = enrolments;
    this.#open = open;
  }

  async start(): Promise<void> {
    this.#running = true;
    await this.#watch.start();
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#watch.stop();
    await this.#refreshed;
    await Promise.all([...this.#bridges.values()].map(bridge => bridge.stop()));
    this.#bridges.clear();
  }

  wake(delegation: AgentRef & { readonly remoteId: string }): void {
    this.#bridges.get(keyOf(delegation))?.wake(delegation.remoteId);
  }

  async retire(agent: AgentRef): Promise<void> {
    await this.#bridges.get(keyOf(agent))?.retire('the agent was removed');
  }

  /** Builds bridges to agents that came and tears down those to agents that went. */
  refresh(): Promise<void> {
    this.#refreshed = this.#refreshed.then(() => this.#refresh());
    return this.#refreshed;
  }

  async #refresh(): Promise<void> {
    if (!this.#running) return;
    try {
      const agents = new Map((await this.#enrolments.refs()).map(agent => [keyOf(agent), agent]));
      for (const [key, agent] of agents) {
        if (this.#bridges.has(key)) continue;
        const bridge = this.#open(agent);
        this.#bridges.set(key, bridge);
        bridge.start();
      }
      for (const [key, bridge] of this.#bridges) {
        if (agents.has(key)) continue;
        this.#bridges.delete(key);
        await bridge.stop();
      }
    } catch (error) {
      this.#log.warn('the SAM agents could not be read again', { error: String(error) });
    }
  }
}

function keyOf({ tenant, agentId }: AgentRef): string {
  return `${tenant}\n${agentId}`;
}
