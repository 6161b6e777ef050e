// What the engine needs of whoever keeps the guardrails of tenants: what holds, and to be told when one bit.

import type { GuardrailRule, Guardrails } from '../../domain/guardrails.ts';
import type { TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';

/** That a guardrail bit: whom, and what it was about. */
export interface Bite {
  readonly tenant: TenantId;
  readonly rule: GuardrailRule;
  readonly principal: string;
  readonly object: string;
  readonly detail: JsonObject;
}

/** The guardrails of tenants; answered from memory, as of a few seconds ago. */
export interface GuardrailKeeper {
  of(tenant: TenantId): Guardrails;
  /** Audits and counts it. */
  bit(bite: Bite): void;
}
