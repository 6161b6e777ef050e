// The identities of the model: who chooses each, what it may look like, and a brand so that two never mix.

declare const brand: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

/** A tenant's name; every row of every noun belongs to one. */
export type TenantId = Branded<string, 'TenantId'>;
/** The caller's name for a task, unique in its tenant. */
export type TaskId = Branded<string, 'TaskId'>;
/** Our name for one acceptance of a task (UUIDv7); a resubmitted rejection gets a new one. */
export type ExecutionId = Branded<string, 'ExecutionId'>;
/** An agent's name, unique in its tenant. */
export type AgentId = Branded<string, 'AgentId'>;
/** Our name for one notification on its way to one endpoint (UUIDv7). */
export type DeliveryId = Branded<string, 'DeliveryId'>;
/** Our name for a stored artifact (UUIDv7). */
export type ArtifactId = Branded<string, 'ArtifactId'>;
/** The store's own key of a task row; never leaves the process. */
export type TaskKey = Branded<number, 'TaskKey'>;
/** Monotonic over all claims of a store: a later claim always bears a greater one. */
export type FencingToken = Branded<number, 'FencingToken'>;

/** The tenant that exists without being made. */
export const DEFAULT_TENANT = 'default' as TenantId;

const CALLER_ID = /^[A-Za-z0-9._:-]{1,200}$/;

/** True for 1–200 characters of `[A-Za-z0-9._:-]`, the form of every id a caller chooses. */
export function isCallerId(text: string): boolean {
  return CALLER_ID.test(text);
}
