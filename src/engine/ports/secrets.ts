// What the engine needs from whoever keeps secrets. Values exist only in a running attempt and in a signature.

import type { TenantId } from '../../domain/ids.ts';
import type { Json } from '../../domain/json.ts';
import type { PriceTable } from '../../domain/price.ts';

/** The secrets of tenants, by name. */
export interface SecretKeeper {
  /** Those of the names the tenant has no secret for. */
  missing(tenant: TenantId, names: readonly string[]): Promise<readonly string[]>;
  /** Values by name; throws `unprocessable` naming the first that is missing. */
  values(tenant: TenantId, names: readonly string[]): Promise<Readonly<Record<string, string>>>;
  /** What to sign notifications with, newest first: the task's own secret, else the tenant's (`SAM-78`). */
  webhookSecrets(tenant: TenantId, sealed: string | undefined): Promise<readonly string[]>;
  /** The text with the values, and what looks like a credential, replaced by `***` (`SAM-63`). */
  mask(text: string, values: readonly string[]): string;
  /** The same in every string, number and name of a JSON value. */
  maskJson(value: Json, values: readonly string[]): Json;
}

/** The weights by which tenants share capacity (`SAM-111`), and what else of a tenant decides who gets its tasks. */
export interface TenantWeights {
  /** At least 0.01; 1 for a tenant that sets none. */
  weight(tenant: TenantId): number;
  /** What its tasks are estimated to cost by, where it has a price table (`SAM-42`). */
  prices?(tenant: TenantId): PriceTable | undefined;
  /** The regions its tasks may run in; absent where they may run anywhere (`SAM-225`). */
  regions?(tenant: TenantId): readonly string[] | undefined;
  /** How many of its tasks may make one another; absent where it does not say (`ARMY-84`). */
  depthMax?(tenant: TenantId): number | undefined;
}
