// What can be wrong with a message beside its form, by pair: an agent that cannot be set up so, a workflow nobody knows, a token that is none.
// Every check is made before anything is stored.

import { hash } from 'node:crypto';
import { DomainError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Inspection, TokenInspector, TokenKind } from '../../guards/inspection.ts';
import type { EnvelopeScene } from '../dialect/dialect.ts';
import { agentConfigErrors } from './agent-config.ts';
import { type Envelope, ruleIn } from './envelope.ts';
import { noobleError } from './errors.ts';
import { FALLBACKS } from './fallbacks.ts';
import { type EnvelopeFault, invalid } from './faults.ts';
import { isSensitive, metadataOf, metadataText } from './metadata.ts';
import type { Notices } from './notices.ts';
import { isEncrypted, isSealed } from './sealing.ts';
import type { Services } from './services.ts';
import type { Sessions } from './sessions.ts';
import type { Settings } from './settings.ts';
import { missingParameters, type Templates } from './templates.ts';
import { STEP_TYPES } from './workflow-words.ts';

/** What checks ask. */
export interface CheckParts {
  readonly services: Services;
  readonly settings: Settings;
  readonly sessions: Sessions;
  readonly templates: Templates;
  readonly notices: Notices;
  readonly inspector: TokenInspector;
  readonly models: readonly string[] | null;
}

/** Checks messages by what they ask. */
export class Checks {
  readonly #parts: CheckParts;

  constructor(parts: CheckParts) {
    this.#parts = parts;
  }

  /** The envelope as it may be stored; throws what is wrong with what it asks. */
  async checked(envelope: Envelope, scene: EnvelopeScene): Promise<Envelope> {
    const { tenant } = scene.caller;
    const pair = `${envelope.type.domain}.${envelope.type.action}`;
    // What is encrypted is checked when it is opened.
    const known = isEncrypted(envelope) ? envelope : await this.#byPair(pair, envelope, tenant);
    const checked = await this.#warned(known, tenant);
    await this.#requireStep(envelope, tenant);
    await this.#parts.sessions.enter(tenant, envelope, scene.caller.principal.id, scene.now);
    return checked;
  }

  async #byPair(pair: string, envelope: Envelope, tenant: TenantId): Promise<Envelope> {
    switch (pair) {
      case 'agent.execute':
        await this.#checkAgent(envelope, tenant);
        return envelope;
      case 'workflow.start':
        await this.#checkStart(envelope, tenant);
        return envelope;
      case 'workflow.step':
        await this.#checkStep(envelope, tenant);
        return envelope;
      case 'conversation.update':
      case 'conversation.query':
        if (envelope.conversation_id === undefined)
          throw invalid([{ field: 'conversation_id', code: 'VAL_002', message: 'is required' }]);
        return envelope;
      case 'knowledge.search':
        checkSearch(envelope.payload);
        return envelope;
      case 'knowledge.update':
        // What is found by its words cannot be kept from being read (NOOB-33).
        if (isSensitive(envelope))
          throw new DomainError('policy_violation', 'sensitive data is not taken into a knowledge base', {
            details: { rule: 'sensitive_data' },
          });
        return envelope;
      case 'workflow.update':
      case 'agent.update':
        checkCommand(pair, envelope.payload);
        return envelope;
      case 'auth.validate':
        return this.#judged(envelope, tenant);
      default:
        return envelope;
    }
  }

  async #checkAgent({ payload }: Envelope, tenant: TenantId): Promise<void> {
    const config = isJsonObject(payload.agent_config) ? payload.agent_config : {};
    const settings = await this.#parts.settings.of(tenant);
    const errors = [...agentConfigErrors(config, settings.modelNames, this.#parts.models)];
    const id = config.agent_id;
    if (
      typeof id === 'string' &&
      !settings.builtInAgent &&
      (await this.#parts.services.agent(tenant, id)) === null
    )
      errors.push({ field: 'agent_config.agent_id', message: `no agent ${id} is registered` });
    if (errors.length > 0)
      throw noobleError('AEX_001', errors.map(({ field, message }) => `${field}: ${message}`).join('; '), {
        validation_errors: errors,
        agent_config: config,
      });
  }

  async #checkStart({ payload }: Envelope, tenant: TenantId): Promise<void> {
    const { workflow_template_id: id, workflow_version: version } = payload;
    const found = await this.#parts.templates.find(
      tenant,
      String(id),
      typeof version === 'string' ? version : null,
    );
    if (found === null)
      throw noobleError('resource_not_found', `there is no workflow ${id} ${version ?? ''}`.trim(), {
        workflow_template_id: id,
        ...(version === undefined ? {} : { workflow_version: version }),
      });
    const given = isJsonObject(payload.input_parameters) ? payload.input_parameters : {};
    const missing = missingParameters(found, given);
    if (missing.length > 0)
      throw invalid(
        missing.map(name => ({
          field: `payload.input_parameters.${name}`,
          code: 'VAL_002',
          message: 'is required',
        })),
      );
    await this.#parts.notices.check(tenant, payload);
  }

  async #checkStep(envelope: Envelope, tenant: TenantId): Promise<void> {
    const { step_type: type, input_data: input } = envelope.payload;
    if (type === 'agent_task') await this.#checkAgent(envelope, tenant);
    if (!STEP_TYPES.includes(String(type)))
      throw noobleError('WF_001', `there is no step type ${type}`, { step_types: [...STEP_TYPES] });
    const run = await this.#runOf(envelope, tenant);
    if (run === null || !isJsonObject(input)) return;
    for (const [field, value] of Object.entries(input)) {
      if (!isJsonObject(value)) continue;
      if (value.source === 'previous_step' && !run.steps.includes(String(value.step_id)))
        throw noobleError('WF_002', `the workflow has no step ${value.step_id}`, {
          field,
          step_id: value.step_id,
        });
      if (value.source === 'workflow_input' && !run.parameters.includes(String(value.parameter)))
        throw noobleError('VAL_002', `the workflow was given no ${value.parameter}`, {
          field: `payload.input_data.${field}`,
          parameter: value.parameter,
        });
    }
  }

  /** What is asked to be tried though the tenant allows no trial is said in the reply (`NOOB-32`). */
  async #warned(envelope: Envelope, tenant: TenantId): Promise<Envelope> {
    const { metadata } = envelope;
    if (metadata?.experimental !== true || ruleIn(envelope).kind !== 'ask' || isSealed(envelope))
      return envelope;
    if ((await this.#parts.settings.of(tenant)).experimental.length > 0) return envelope;
    const warnings = ['experimental features are not allowed here'];
    return { ...envelope, metadata: { ...metadata, warnings } };
  }

  /** A step that a workflow known here lacks is told; a workflow nobody knows is not (`NOOB-30`). */
  async #requireStep(envelope: Envelope, tenant: TenantId): Promise<void> {
    const step = metadataText(envelope, 'workflow_step_id');
    if (step === null) return;
    const run = await this.#runOf(envelope, tenant);
    if (run !== null && !run.steps.includes(step))
      throw noobleError('WF_002', `the workflow has no step ${step}`, { workflow_step_id: step });
  }

  async #runOf(envelope: Envelope, tenant: TenantId) {
    const id = metadataText(envelope, 'workflow_id');
    return id === null ? null : await this.#parts.templates.run(tenant, id);
  }

  /** What the token is worth, in its place: the token itself goes no further than this (`NOOB-87`). */
  async #judged(envelope: Envelope, tenant: TenantId): Promise<Envelope> {
    const { token, token_type: type, ...payload } = envelope.payload;
    const kind = (typeof type === 'string' ? type : 'access') as TokenKind;
    const verdict: Inspection = await this.#parts.inspector.inspect(tenant, String(token), kind);
    return {
      ...envelope,
      payload: {
        ...payload,
        token_type: kind,
        token_sha256: hash('sha256', String(token), 'hex'),
        verdict: verdict as unknown as JsonObject,
      },
    };
  }
}

/** An envelope without the token it may bear, and without a payload that is said to be sensitive, whatever else is wrong with it (`NOOB-33`, `NOOB-87`). */
export function keepable(envelope: unknown): unknown {
  if (!isJsonObject(envelope)) return envelope;
  if (isSensitive(envelope)) return headOf(envelope);
  if (!isJsonObject(envelope.payload) || envelope.payload.token === undefined) return envelope;
  const { token, ...payload } = envelope.payload;
  return { ...envelope, payload: { ...payload, token_sha256: hash('sha256', String(token), 'hex') } };
}

/** Who said what kind of thing to whom, and under which code it failed. */
function headOf(envelope: JsonObject): JsonObject {
  const of = (from: JsonObject, names: readonly string[]): JsonObject =>
    Object.fromEntries(names.flatMap(name => (from[name] === undefined ? [] : [[name, from[name]]])));
  const { error } = envelope;
  return {
    ...of(envelope, HEAD),
    metadata: of(metadataOf(envelope), METADATA_HEAD),
    payload: { withheld: 'sensitive_data' },
    ...(isJsonObject(error) ? { error: of(error, ['code', 'retry_suggested', 'service']) } : {}),
  };
}

const HEAD = [
  ...['message_id', 'task_id', 'tenant_id', 'correlation_id', 'session_id', 'conversation_id', 'created_at'],
  ...['expires_at', 'schema_version', 'version', 'status', 'type', 'priority', 'source_service'],
  'target_service',
];
const METADATA_HEAD = [
  ...['sensitive_data', 'source', 'user_id', 'trace_id', 'timeout_ms', 'retry_count', 'workflow_id'],
  ...['workflow_step_id', 'state', 'error_code', 'error_category', 'encryption', 'signature'],
];

function checkSearch({ search_config: config = {}, filter }: JsonObject): void {
  const wanted = isJsonObject(filter) && isJsonObject(filter.metadata) ? filter.metadata : {};
  const dates = ['updated_after', 'updated_before'].filter(
    field => wanted[field] !== undefined && Number.isNaN(Date.parse(String(wanted[field]))),
  );
  if (dates.length > 0)
    throw invalid(
      dates.map(field => ({
        field: `payload.filter.metadata.${field}`,
        code: 'VAL_003',
        message: 'must be a date',
      })),
    );
  if (!isJsonObject(config)) return;
  const { semantic_weight: semantic = 0.7, keyword_weight: keyword = 0.3 } = config;
  const faults: EnvelopeFault[] = Object.entries({ semantic_weight: semantic, keyword_weight: keyword })
    .filter(([, weight]) => Number(weight) < 0)
    .map(([field]) => ({
      field: `payload.search_config.${field}`,
      code: 'VAL_001',
      message: 'must not be negative',
    }));
  if (Number(semantic) === 0 && Number(keyword) === 0)
    faults.push({ field: 'payload.search_config', code: 'VAL_001', message: 'both weights are zero' });
  if (faults.length > 0) throw invalid(faults);
}

/** Whether it may be obeyed now is found out when it is. */
function checkCommand(pair: string, { command, fallback }: JsonObject): void {
  const [field, value, words] =
    pair === 'workflow.update' && fallback !== undefined
      ? (['fallback', fallback, FALLBACKS] as const)
      : (['command', command, COMMANDS] as const);
  if (value === undefined)
    throw invalid([{ field: `payload.${field}`, code: 'VAL_002', message: 'is required' }]);
  if (!words.some(one => one === value))
    throw invalid([
      { field: `payload.${field}`, code: 'VAL_001', message: `must be one of ${words.join(', ')}` },
    ]);
}

const COMMANDS = ['pause', 'resume', 'cancel'] as const;
