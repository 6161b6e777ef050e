// The guardrails of tenants at work: what holds for each, and how often each bit since this process began.

import { DEFAULT_GUARDRAILS, type GuardrailRule, type Guardrails } from '../domain/guardrails.ts';
import type { TenantId } from '../domain/ids.ts';
import type { Bite, GuardrailKeeper } from '../engine/ports/guardrails.ts';
import type { AuditRecorder } from './audit.ts';
import type { Tenants } from './tenants.ts';

/** Keeps them; nobody has to start it. */
export class GuardrailBook implements GuardrailKeeper {
  readonly #tenants: Pick<Tenants, 'guardrails'>;
  readonly #audit: AuditRecorder;
  readonly #counts = new Map<TenantId, Map<GuardrailRule, number>>();

  constructor(tenants: Pick<Tenants, 'guardrails'>, audit: AuditRecorder) {
    this.#tenants = tenants;
    this.#audit = audit;
  }

  of(tenant: TenantId): Guardrails {
    return { ...DEFAULT_GUARDRAILS, ...this.#tenants.guardrails(tenant) };
  }

  /** Whether the tenant chose its pace itself. */
  setsPace(tenant: TenantId): boolean {
    const { messagesPerMinute, messagesBurst } = this.#tenants.guardrails(tenant) ?? {};
    return messagesPerMinute !== undefined || messagesBurst !== undefined;
  }

  bit({ rule, ...entry }: Bite): void {
    this.count(entry.tenant, rule);
    this.#audit.record({
      ...entry,
      action: 'guardrail.bit',
      detail: { ...entry.detail, rule },
    });
  }

  /** Counts one that is audited elsewhere. */
  count(tenant: TenantId, rule: GuardrailRule): void {
    const counts = this.#counts.get(tenant) ?? new Map<GuardrailRule, number>();
    this.#counts.set(tenant, counts.set(rule, (counts.get(rule) ?? 0) + 1));
  }

  /** How often each bit a tenant's agents; those that never did are left out. */
  counts(tenant: TenantId): Readonly<Partial<Record<GuardrailRule, number>>> {
    return Object.fromEntries(this.#counts.get(tenant) ?? []);
  }
}
