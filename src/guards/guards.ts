// Puts the guards together: one place that knows how they depend on each other, in the order they start.

import type { Sealer } from '../engine/ports/sealer.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { Service } from '../runtime/service.ts';
import type { Store } from '../store/store.ts';
import { ApiKeyUsage } from './api-key-usage.ts';
import { ApiKeys } from './api-keys.ts';
import { AttemptLog } from './attempts.ts';
import { type AuditObserver, AuditWriter } from './audit.ts';
import { AuditHeads } from './audit-heads.ts';
import { type Authenticator, createAuthenticator } from './authentication.ts';
import { GuardrailBook } from './guardrails.ts';
import { ReplayGuard } from './hmac-replay.ts';
import { TokenInspector } from './inspection.ts';
import { JwtVerifier } from './jwt.ts';
import { type ConfiguredJwtKey, JwtKeys } from './jwt-keys.ts';
import { KeyProof } from './key-proof.ts';
import { RateLimits, type RateOptions } from './limits.ts';
import { createMessageGuards, type MessageGuards } from './messages/messages.ts';
import { TaskQuotas } from './quotas.ts';
import { RefreshFamilies } from './refresh-families.ts';
import { Repeats } from './repeats.ts';
import { Revocations } from './revocations.ts';
import { createSealer } from './sealer.ts';
import { Secrets } from './secrets.ts';
import { Tenants } from './tenants.ts';
import { TokenService } from './tokens.ts';
import { proveMasterKey, Vault } from './vault.ts';

/** What the configuration says to the guards. */
export interface GuardOptions {
  /** 32 bytes. */
  readonly masterKey: Uint8Array;
  /** Master keys that were, so that what they sealed still opens. */
  readonly masterKeysBefore?: readonly Uint8Array[];
  /** An administrator's key of the default tenant. */
  readonly bootstrap?: { readonly id: string; readonly secret: string };
  /** Keys of the default tenant whose tokens are accepted. */
  readonly jwtKeys?: readonly ConfiguredJwtKey[];
  readonly rates?: RateOptions;
  /** Global expressions whose matches are masked beside credentials. */
  readonly maskPatterns?: readonly RegExp[];
  /** Told of every audit entry as it is recorded, for alerts and metrics. */
  readonly observeAudit?: AuditObserver;
}

/** The guards of a server; started before it listens, stopped after it has answered. */
export interface Guards extends Service {
  readonly vault: Vault;
  readonly audit: AuditWriter;
  readonly auditHeads: AuditHeads;
  readonly tenants: Tenants;
  readonly quotas: TaskQuotas;
  readonly apiKeys: ApiKeys;
  readonly usage: ApiKeyUsage;
  readonly jwtKeys: JwtKeys;
  readonly tokens: TokenService;
  readonly authenticator: Authenticator;
  readonly inspector: TokenInspector;
  readonly limits: RateLimits;
  readonly repeats: Repeats;
  readonly secrets: Secrets;
  readonly sealer: Sealer;
  readonly messages: MessageGuards;
  readonly guardrails: GuardrailBook;
}

type GuardStore = Pick<
  Store,
  'capabilities' | 'documents' | 'putDocuments' | 'hear' | 'appendAudit' | 'audit' | 'list'
>;

/** Makes the guards; throws `invalid_request` for a weak configured key. Starting rejects under a wrong master key. */
export function createGuards(
  log: Log,
  clock: Clock,
  random: Random,
  store: GuardStore,
  options: GuardOptions,
): Guards {
  const vault = new Vault(random, options.masterKey, options.masterKeysBefore);
  const observe = options.observeAudit === undefined ? {} : { observe: options.observeAudit };
  const auditHeads = new AuditHeads(log, clock, store);
  const audit = new AuditWriter(log, clock, store, { ...observe, heads: auditHeads });
  const attempts = new AttemptLog(audit);
  const tenants = new Tenants(log, clock, random, store, vault);
  const quotas = new TaskQuotas(log, clock, random, store, tenants);
  const bootstrap = options.bootstrap === undefined ? {} : { bootstrap: options.bootstrap };
  const apiKeys = new ApiKeys(clock, random, store, vault, bootstrap);
  const usage = new ApiKeyUsage(log, clock, store, audit);
  const jwtKeys = new JwtKeys(clock, random, store, vault, options.jwtKeys);
  const revocations = new Revocations(clock, store);
  const verifier = new JwtVerifier(clock, jwtKeys, revocations, tenants);
  const proof = new KeyProof(apiKeys, tenants, new ReplayGuard(store));
  const limits = new RateLimits(log, clock, random, store, options.rates);
  const families = new RefreshFamilies(clock, random, store, vault);
  const patterns = options.maskPatterns === undefined ? {} : { patterns: options.maskPatterns };
  return {
    vault,
    audit,
    auditHeads,
    tenants,
    quotas,
    apiKeys,
    usage,
    jwtKeys,
    tokens: new TokenService(clock, random, {
      ...{ apiKeys, keys: jwtKeys, verifier, proof, families, revocations, attempts, audit },
    }),
    authenticator: createAuthenticator({
      clock,
      keys: apiKeys,
      proof,
      usage,
      tokens: verifier,
      attempts,
      standardPerHour: limits.standardPerHour,
    }),
    inspector: new TokenInspector(clock, { verifier, families, proof }),
    limits,
    repeats: new Repeats(log, clock, random, store, vault, { isAlone: !store.capabilities.shared }),
    secrets: new Secrets(clock, store, vault, tenants, patterns),
    sealer: createSealer(),
    guardrails: new GuardrailBook(tenants, audit),
    messages: createMessageGuards(clock, random, store, { vault, tenants, attempts }),
    ...together([auditHeads, audit, tenants, quotas, usage, limits], () => proveMasterKey(store, vault)),
  };
}

/** Starts services in order once the proof holds, and stops them in reverse. */
function together(services: readonly Service[], prove: () => Promise<void>): Service {
  return {
    async start() {
      await prove();
      for (const service of services) await service.start();
    },
    async stop() {
      for (const service of services.toReversed()) await service.stop();
    },
  };
}
