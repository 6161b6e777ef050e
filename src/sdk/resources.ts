// The client's smaller collections: artifacts, deliveries, agents, API keys, tenants and secrets.

import type { JsonObject } from '../domain/json.ts';
import { ServerError } from './errors.ts';
import { hex } from './signing.ts';
import type { Sendable, Transport } from './transport.ts';
import type { ArtifactReference } from './wire.ts';
import type {
  AgentRegistration,
  AgentView,
  ApiKeyRequest,
  ApiKeySecret,
  ApiKeyView,
  AuditEntry,
  AuditFilter,
  DeliveryFilter,
  DeliveryView,
  EndpointView,
  PageAnswer,
  PageQuery,
  TenantSecret,
  TenantView,
} from './wire-admin.ts';

/** A file to store. */
export interface ArtifactUpload {
  readonly name: string;
  /** `data_file`, `report`, `image` … as its maker says. */
  readonly type?: string;
  readonly mediaType?: string;
  readonly source: Sendable;
  /** The task it belongs to; absent for an input to come. */
  readonly taskId?: string;
  /** A worker's proof that it still holds the task. */
  readonly fencingToken?: number;
  readonly signal?: AbortSignal | undefined;
}

/** A stored file on its way here. */
export interface ArtifactDownload {
  readonly mediaType: string;
  readonly stream: ReadableStream<Uint8Array>;
  /** The whole of it in memory, checked against the server's digest. */
  bytes(): Promise<Uint8Array>;
}

/** Files that tasks read and leave (`SAM-71`–`SAM-75`). */
export class Artifacts {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** A task's files. */
  async list(taskId: string): Promise<readonly ArtifactReference[]> {
    const answer = await this.#transport.json<{ readonly artifacts: readonly ArtifactReference[] }>({
      method: 'GET',
      path: '/api/v2/artifacts',
      query: { task_id: taskId },
    });
    return answer.artifacts;
  }

  /** Stores a file, never whole in the server's memory. What is not a stream is sent with its digest, so damage on the way is refused. */
  async upload(file: ArtifactUpload): Promise<ArtifactReference> {
    const { source } = file;
    return this.#transport.json({
      method: 'POST',
      path: '/api/v2/artifacts',
      query: { name: file.name, type: file.type, task_id: file.taskId, fencing_token: file.fencingToken },
      body: { source, mediaType: file.mediaType ?? 'application/octet-stream' },
      headers: source instanceof ReadableStream ? {} : { 'x-checksum-sha256': await sha256(source) },
      signal: file.signal,
      timeoutMs: 3_600_000,
    });
  }

  /** Opens a file, or a range of its bytes (`bytes=0-99`). */
  async download(
    artifactId: string,
    options: { readonly range?: string; readonly signal?: AbortSignal } = {},
  ): Promise<ArtifactDownload> {
    const response = await this.#transport.open({
      method: 'GET',
      path: `/api/v2/artifacts/${encodeURIComponent(artifactId)}`,
      headers: options.range === undefined ? {} : { range: options.range },
      signal: options.signal,
    });
    return {
      mediaType: response.headers.get('content-type') ?? 'application/octet-stream',
      stream: response.body ?? new Blob([]).stream(),
      bytes: () => checkedBytes(response),
    };
  }

  async remove(artifactId: string): Promise<void> {
    await this.#transport.json({
      method: 'DELETE',
      path: `/api/v2/artifacts/${encodeURIComponent(artifactId)}`,
    });
  }
}

/** Notifications on their way (`SAM-92`). */
export class Deliveries {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  list(filter: DeliveryFilter = {}): Promise<PageAnswer & { readonly deliveries: readonly DeliveryView[] }> {
    return this.#transport.json({ method: 'GET', path: '/api/v2/deliveries', query: filter });
  }

  get(deliveryId: string): Promise<DeliveryView> {
    return this.#transport.json({
      method: 'GET',
      path: `/api/v2/deliveries/${encodeURIComponent(deliveryId)}`,
    });
  }

  /** Sends the same body again, freshly signed, under a new delivery id. */
  redeliver(deliveryId: string): Promise<DeliveryView> {
    return this.#transport.json({
      method: 'POST',
      path: `/api/v2/deliveries/${encodeURIComponent(deliveryId)}/redeliver`,
      json: {},
    });
  }

  /** How each endpoint answers, and whether its breaker is open. */
  async endpoints(): Promise<readonly EndpointView[]> {
    const answer = await this.#transport.json<{ readonly endpoints: readonly EndpointView[] }>({
      method: 'GET',
      path: '/api/v2/deliveries/endpoints',
    });
    return answer.endpoints;
  }
}

/** Who runs tasks (`SAM-135`). */
export class Agents {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async list(query: PageQuery = {}): Promise<readonly AgentView[]> {
    const answer = await this.#transport.json<{ readonly agents: readonly AgentView[] }>({
      method: 'GET',
      path: '/api/v2/agents',
      query,
    });
    return answer.agents;
  }

  register(agent: AgentRegistration): Promise<AgentView> {
    return this.#transport.json({ method: 'POST', path: '/api/v2/agents', json: agent });
  }

  /** Gives the agent no more work; what it runs goes on. */
  drain(agentId: string): Promise<AgentView> {
    return this.#transport.json({
      method: 'POST',
      path: `/api/v2/agents/${encodeURIComponent(agentId)}/drain`,
      json: {},
    });
  }

  async remove(agentId: string): Promise<void> {
    await this.#transport.json({ method: 'DELETE', path: `/api/v2/agents/${encodeURIComponent(agentId)}` });
  }
}

/** Keys that let programs in (`SAM-19`–`SAM-21`). */
export class ApiKeys {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async list(query: PageQuery = {}): Promise<readonly ApiKeyView[]> {
    const answer = await this.#transport.json<{ readonly api_keys: readonly ApiKeyView[] }>({
      method: 'GET',
      path: '/api/v2/api-keys',
      query,
    });
    return answer.api_keys;
  }

  /** Makes a key; the secret in the answer is never shown again. */
  create(key: ApiKeyRequest): Promise<ApiKeySecret> {
    return this.#transport.json({ method: 'POST', path: '/api/v2/api-keys', json: key });
  }

  /** Gives a new secret; the old one works for 24 hours more. */
  rotate(keyId: string): Promise<ApiKeySecret> {
    return this.#transport.json({
      method: 'POST',
      path: `/api/v2/api-keys/${encodeURIComponent(keyId)}/rotate`,
      json: {},
    });
  }

  async revoke(keyId: string): Promise<void> {
    await this.#transport.json({ method: 'DELETE', path: `/api/v2/api-keys/${encodeURIComponent(keyId)}` });
  }

  usage(keyId: string): Promise<JsonObject> {
    return this.#transport.json({
      method: 'GET',
      path: `/api/v2/api-keys/${encodeURIComponent(keyId)}/usage`,
    });
  }
}

/** Worlds apart; for the default tenant's admin. */
export class Tenants {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async list(query: PageQuery = {}): Promise<readonly TenantView[]> {
    const answer = await this.#transport.json<{ readonly tenants: readonly TenantView[] }>({
      method: 'GET',
      path: '/api/v2/tenants',
      query,
    });
    return answer.tenants;
  }

  /** Makes a tenant; the first key's secret in the answer is never shown again. */
  create(tenantId: string, name: string): Promise<TenantSecret> {
    return this.#transport.json({
      method: 'POST',
      path: '/api/v2/tenants',
      json: { tenant_id: tenantId, name },
    });
  }

  /** Changes a tenant's name, or its share of the capacity. */
  update(
    tenantId: string,
    change: { readonly name?: string; readonly weight?: number },
  ): Promise<TenantView> {
    return this.#transport.json({
      method: 'PATCH',
      path: `/api/v2/tenants/${encodeURIComponent(tenantId)}`,
      json: change,
    });
  }

  /** Makes a new webhook secret, shown this once; the old one signs along for 24 hours. */
  async rotateWebhookSecret(tenantId: string): Promise<string> {
    const answer = await this.#transport.json<{ readonly webhook_secret: string }>({
      method: 'POST',
      path: `/api/v2/tenants/${encodeURIComponent(tenantId)}/webhook-secret/rotate`,
      json: {},
    });
    return answer.webhook_secret;
  }
}

/** The tenant's write-only store of secrets, which tasks name (`SAM-34`). */
export class Secrets {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Names only. */
  async list(): Promise<readonly string[]> {
    const answer = await this.#transport.json<{
      readonly secrets: readonly (string | { readonly name: string })[];
    }>({ method: 'GET', path: '/api/v2/secrets' });
    return answer.secrets.map(secret => (typeof secret === 'string' ? secret : secret.name));
  }

  async set(name: string, value: string): Promise<void> {
    await this.#transport.json({
      method: 'PUT',
      path: `/api/v2/secrets/${encodeURIComponent(name)}`,
      json: { value },
    });
  }

  async remove(name: string): Promise<void> {
    await this.#transport.json({ method: 'DELETE', path: `/api/v2/secrets/${encodeURIComponent(name)}` });
  }
}

/** Who did what (`SAM-205`). */
export class Audit {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Entries that match, oldest first; `next_after` is where the next page begins. */
  list(
    filter: AuditFilter = {},
  ): Promise<{ readonly entries: readonly AuditEntry[]; readonly next_after: number | null }> {
    return this.#transport.json({ method: 'GET', path: '/api/v2/audit', query: filter });
  }

  /** Whether every entry is there, and as it was written. */
  verify(): Promise<{ readonly intact: boolean; readonly entries: number; readonly broken_at?: number }> {
    return this.#transport.json({ method: 'GET', path: '/api/v2/audit/verify' });
  }
}

async function sha256(source: string | Uint8Array): Promise<string> {
  const bytes = typeof source === 'string' ? new TextEncoder().encode(source) : source;
  return hex(await crypto.subtle.digest('SHA-256', bytes as BufferSource));
}

async function checkedBytes(response: Response): Promise<Uint8Array> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  const stated = /sha-256=:([^:]+):/.exec(response.headers.get('repr-digest') ?? '')?.[1];
  // The digest is of the whole file, so a range cannot be checked against it.
  if (stated === undefined || response.status === 206) return bytes;
  const found = btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))));
  if (found === stated) return bytes;
  throw new ServerError({
    code: 'INVALID_ANSWER',
    message: 'the artifact arrived damaged: its bytes do not match its digest',
    status: response.status,
  });
}
