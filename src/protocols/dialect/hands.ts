// What a dialect is made from, and what it is made into: its wire, and the built-in agents that only it has.

import type { TenantId } from '../../domain/ids.ts';
import type { EngineApi } from '../../engine/api.ts';
import type { Mailroom } from '../../engine/mailroom/mailroom.ts';
import type { Memory } from '../../engine/memory/memory.ts';
import type { Channel } from '../../engine/ports/channel.ts';
import type { GuardrailKeeper } from '../../engine/ports/guardrails.ts';
import type { ModelProvider } from '../../engine/ports/model-provider.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { Participant } from '../../engine/ports/participant.ts';
import type { Validator } from '../../engine/ports/validator.ts';
import type { Reviews } from '../../engine/reviews.ts';
import type { AuditRecorder } from '../../guards/audit.ts';
import type { TokenInspector } from '../../guards/inspection.ts';
import type { QuotaLimits } from '../../guards/quota-plan.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Random } from '../../runtime/random.ts';
import type { Service } from '../../runtime/service.ts';
import type { Store } from '../../store/store.ts';
import type { Dialect } from './dialect.ts';

/** What dialects work with. */
export interface DialectHands {
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  readonly store: Store;
  readonly engine: EngineApi;
  /** The mailroom, which is made with the dialects and so after them. */
  readonly mailroom: () => Mailroom;
  /** What agents remember and tenants know. */
  readonly memory: Memory;
  readonly audit: AuditRecorder;
  /** Says what tokens are worth that others ask about. */
  readonly inspector: TokenInspector;
  /** What a tenant may use in all; what is absent is not limited. */
  readonly quotaOf: (tenant: TenantId) => QuotaLimits;
  readonly outbound: Outbound;
  /** The ways out, by name: of those that need setting up only what is. */
  readonly channels: ReadonlyMap<string, Pick<Channel, 'check'>>;
  readonly models: readonly ModelProvider[];
  /** Told of every record that a workflow may wait for. */
  readonly workflows: { mailCame(): void };
  readonly validator: Validator;
  readonly guardrails: GuardrailKeeper;
  readonly reviews: Reviews;
}

/** A dialect and whoever answers in it. */
export interface DialectKit {
  readonly dialect: Dialect;
  readonly participants: readonly Participant[];
  /** What works beside: started after the mailroom, stopped before it. */
  readonly service?: Pick<Service, 'start' | 'stop'>;
}
