// What each built-in service does with what it is asked; a task for a service elsewhere is passed on to it.

import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { EngineApi } from '../../engine/api.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Store } from '../../store/store.ts';
import { type AgentParts, answerQuery } from './agent.ts';
import { languageOf } from './catalogue.ts';
import { noobleError } from './errors.ts';
import { documentOf, type KnowledgeBase, type KnowledgeQuery, queryOf, resultsOf } from './knowledge.ts';
import { metadataText } from './metadata.ts';
import { type PassingParts, passOn } from './passing-on.ts';
import { readInput } from './references.ts';
import type { Request } from './replies.ts';
import type { ResultSchemas } from './result-schemas.ts';
import type { Services } from './services.ts';
import type { Sessions } from './sessions.ts';
import { settingsView } from './settings.ts';
import { stepElsewhere } from './steps-elsewhere.ts';
import { requestOfTask } from './task-terms.ts';
import type { Templates } from './templates.ts';
import type { Errand, ErrandEnd } from './worker.ts';

/** What duties are done with. */
export interface DutyParts extends AgentParts, PassingParts {
  readonly services: Services;
  readonly clock: Clock;
  readonly engine: () => EngineApi;
  readonly sessions: Sessions;
  readonly about: () => JsonObject;
  readonly templates: Templates;
  readonly results: ResultSchemas;
  readonly store: Pick<Store, 'read' | 'events'>;
}

/** Does what a task asks, or passes it on. */
export async function doDuty(errand: Errand, parts: DutyParts): Promise<ErrandEnd> {
  const { task } = errand;
  const request = requestOfTask(task);
  if (request !== null && task.spec.origin?.terms.delegate !== undefined) {
    await passOn(task, request, parts.clock.now(), parts);
    return { left: true };
  }
  const step = request === null ? await stepElsewhere(errand, parts) : null;
  if (step !== null) {
    await passOn(step.task, step.request, parts.clock.now(), parts);
    return { left: true };
  }
  // A step of a workflow came by no message: what it asks stands in its own payload.
  const own = task.spec.payload;
  const payload =
    request === null && isJsonObject(own.payload) ? own.payload : (request?.envelope.payload ?? own);
  await errand.log('DEBUG', `begins ${task.spec.typeName}, attempt ${task.attempt}`);
  const answer = await answered(errand, { request, payload }, parts);
  for (const warning of warningsIn(answer)) await errand.log('WARN', warning);
  await errand.log('INFO', `has done ${task.spec.typeName}`);
  return { answered: answer };
}

function warningsIn({ reply_metadata: more }: JsonObject): readonly string[] {
  return isJsonObject(more) && Array.isArray(more.warnings) ? more.warnings.map(String) : [];
}

interface Asked {
  readonly request: Request | null;
  readonly payload: JsonObject;
}

async function answered(errand: Errand, asked: Asked, parts: DutyParts): Promise<JsonObject> {
  const { tenant, task, service } = errand;
  const { payload, request } = asked;
  const action = request?.envelope.type.action;
  switch (service) {
    case 'agent_execution':
      return answerQuery(errand, queryAsked(errand, asked), parts);
    case 'conversation': {
      const conversation = request?.envelope.conversation_id ?? '';
      const isSensitive = task.spec.sensitive === true;
      if (action === 'query') return parts.conversations.read(tenant, conversation, { payload, isSensitive });
      const update = { payload, by: task.id, at: parts.clock.now(), isSensitive };
      return parts.conversations.update(tenant, conversation, update);
    }
    case 'tool_registry':
      if (action === 'update') return parts.tools.change(tenant, payload);
      if (action === 'query') return parts.tools.list(tenant);
      return toolResult(payload, await parts.tools.run(tenant, payload, errand), request === null);
    case 'knowledge_base':
      return knowledge(errand, payload, parts.knowledge);
    case 'authentication':
      return authResult(payload, tenant);
    case 'agent_orchestrator':
      if (task.spec.typeName === 'workflow_step') return step(errand, asked, parts);
      return system(errand, asked, parts);
    case 'workflow_engine':
      throw noobleError('GEN_001', 'the workflow engine it was for is gone', { final: true });
  }
}

function queryAsked({ task }: Errand, { request, payload }: Asked) {
  const envelope = request?.envelope ?? {};
  return {
    payload,
    language: languageOf(metadataText(envelope, 'user_locale')),
    isSensitive: task.spec.sensitive === true,
  };
}

/** A step of a workflow sees what the tool answered; who asked by message, the call too. */
function toolResult(payload: JsonObject, result: JsonObject[string], isStep: boolean): JsonObject {
  if (isStep) return isJsonObject(result) ? result : { result };
  const { tool_name: name, parameters = {}, tool_call_id: call } = payload;
  return { tool_name: name, parameters, result, ...(call === undefined ? {} : { tool_call_id: call }) };
}

/** What a task looks for, no less secretly than it was asked. */
function queryFor({ spec }: Errand['task'], payload: JsonObject): KnowledgeQuery {
  return { ...queryOf(payload), isSensitive: spec.sensitive === true };
}

async function knowledge(
  { tenant, task }: Errand,
  payload: JsonObject,
  base: KnowledgeBase,
): Promise<JsonObject> {
  if (task.spec.typeName === 'knowledge_search')
    return resultsOf(await base.search(tenant, queryFor(task, payload)), payload);
  const document = documentOf(payload);
  const chunks =
    payload.operation === 'delete'
      ? await base.remove(tenant, document.kbId, document.id)
      : await base.upsert(tenant, document);
  return { kb_id: document.kbId, document_id: document.id, operation: payload.operation, chunks };
}

/** What was found out when the message came in (`NOOB-84` to `NOOB-86`). */
function authResult(payload: JsonObject, tenant: string): JsonObject {
  const { verdict, token_type: type, required_scopes: scopes, validate_scope: isChecked } = payload;
  const found = isJsonObject(verdict) ? verdict : {};
  const required = Array.isArray(scopes) ? scopes.map(String) : [];
  if (found.valid !== true) {
    const isExpired = found.reason === 'expired';
    throw noobleError(
      isExpired ? 'AUTH_002' : 'AUTH_001',
      isExpired ? 'the token has expired' : 'the token is bad',
      {
        token_type: type,
        required_scopes: required,
        validation_result: { valid: false, reason: isExpired ? 'Token expirado' : 'Token inválido' },
      },
    );
  }
  const granted = Array.isArray(found.permissions) ? found.permissions.map(String) : [];
  const missing =
    isChecked === true ? required.filter(scope => !granted.includes(ALIASES[scope] ?? scope)) : [];
  const iso = (at: unknown): string | null => (typeof at === 'number' ? new Date(at).toISOString() : null);
  return {
    valid: true,
    user: { id: found.id, tenant_id: tenant, roles: found.roles, permissions: granted },
    token_metadata: {
      issued_at: iso(found.issuedAt),
      expires_at: iso(found.expiresAt),
      issuer: found.issuer,
      device_id: found.deviceId,
    },
    scope_validation: { has_required_scopes: missing.length === 0, missing_scopes: missing },
  };
}

const ALIASES: Readonly<Record<string, string>> = { 'agent:execute': 'task:execute' };

/** A lone step, done as what it says it is (`NOOB-54`); what it reads of a workflow nobody knows is only warned of (`NOOB-56`, `NOOB-57`). */
async function step(errand: Errand, { request, payload }: Asked, parts: DutyParts): Promise<JsonObject> {
  const { step_type: type, agent_config: config, input_data: given, expected_output: output } = payload;
  const { tenant } = errand;
  const workflow = metadataText(request?.envelope ?? {}, 'workflow_id');
  const references = { workflow, given: isJsonObject(given) ? given : {}, by: errand.task };
  const read = await readInput(tenant, references, parts);
  const expected = await parts.results.expected(tenant, output);
  const warnings = [...read.warnings, ...expected.unknown.map(name => `there is no schema ${name}`)];
  const data = await stepData(errand, { type: String(type), config, input: read.input }, { request, parts });
  const { reply_metadata: more, ...result } = data;
  const all = [...warnings, ...warningsIn(data)];
  return {
    workflow_status: 'completed',
    step_id: metadataText(request?.envelope ?? {}, 'workflow_step_id'),
    result,
    reply_metadata: { ...(isJsonObject(more) ? more : {}), ...(all.length === 0 ? {} : { warnings: all }) },
  };
}

async function stepData(
  errand: Errand,
  { type, config, input }: { readonly type: string; readonly config: unknown; readonly input: JsonObject },
  { request, parts }: { readonly request: Request | null; readonly parts: DutyParts },
): Promise<JsonObject> {
  const name = metadataText(request?.envelope ?? {}, 'step_name') ?? type;
  switch (type) {
    case 'agent_task': {
      const context = Object.entries(input).map(([key, content]) => ({
        type: key,
        content: content ?? null,
      }));
      const asked = {
        query: name.replaceAll('_', ' '),
        context,
        ...(isJsonObject(config) ? { agent_config: config } : {}),
      };
      return answerQuery(errand, queryAsked(errand, { request, payload: asked }), parts);
    }
    case 'tool_task': {
      const result = await parts.tools.run(errand.tenant, { tool_name: name, parameters: input }, errand);
      return isJsonObject(result) ? result : { result };
    }
    case 'knowledge_search': {
      return resultsOf(
        await parts.knowledge.search(errand.tenant, queryFor(errand.task, { query: name, ...input })),
        input,
      );
    }
    default:
      throw noobleError('WF_001', `a step ${type} has no meaning outside its workflow`, { step_type: type });
  }
}

async function system(
  { tenant }: Errand,
  { request, payload }: Asked,
  parts: DutyParts,
): Promise<JsonObject> {
  switch (request?.envelope.type.action) {
    case 'update':
      return { settings: settingsView(await parts.settings.change(tenant, payload)) };
    case 'execute':
      return maintain(tenant, payload, parts);
    default:
      return {
        status: 'healthy',
        ...parts.about(),
        settings: settingsView(await parts.settings.of(tenant)),
        agents: (await parts.engine().agents(tenant)).map(({ agent, health, busy }) => ({
          ...{ agent_id: agent.id, health, busy },
          roles: agent.roles ?? [],
        })),
      };
  }
}

async function maintain(
  tenant: Errand['tenant'],
  payload: JsonObject,
  parts: DutyParts,
): Promise<JsonObject> {
  const { operation, session_id: session } = payload;
  if (operation !== 'close_session' || typeof session !== 'string')
    throw noobleError('VAL_001', `there is no maintenance ${operation}`, { operations: ['close_session'] });
  if (!(await parts.sessions.close(tenant, session)))
    throw noobleError('resource_not_found', `there is no session ${session}`, { session_id: session });
  return { operation, session_id: session, status: 'closed' };
}
