// The nooble wire as an agent speaks it: services that write to services, each message of a domain and an action.

import type { Json, JsonObject } from '../../domain/json.ts';
import {
  blankLetter,
  faultOr,
  isoOf,
  type LetterFault,
  type LetterKind,
  objectIn,
  objectOr,
  textIn,
  textOrNull,
  type Wording,
} from '../wording.ts';

const ASKING: ReadonlySet<string> = new Set(['execute', 'start', 'step']);
/** How each domain tells that work is done. */
const DONE: Readonly<Record<string, string>> = {
  agent: 'agent.response',
  workflow: 'workflow.status',
  conversation: 'conversation.response',
  knowledge: 'knowledge.results',
  auth: 'auth.result',
  tool: 'tool.result',
  system: 'system.response',
};
const DAY_MS = 86_400_000;

/** Services by name; every message belongs to a task. */
export const nooble: Wording = {
  name: 'nooble',
  skillTypes: (skills, { id }) => [...new Set([id, ...skills])],
  read(envelope) {
    const { domain, action } = halvesOf(envelope.type);
    const type = `${domain}.${action}`;
    const id = textIn(envelope.message_id);
    const metadata = objectIn(envelope.metadata);
    const payload = objectIn(envelope.payload);
    const kind = kindOf(action, textIn(envelope.status), payload);
    const taskId = textOrNull(envelope.task_id);
    return {
      ...blankLetter(envelope, id),
      ...{ kind, type, from: textIn(envelope.source_service), to: [textIn(envelope.target_service)] },
      correlationId: textIn(envelope.correlation_id, id),
      replyTo: textOrNull(metadata.reply_to) ?? textOrNull(metadata.in_reply_to),
      ...{ taskId, payload },
      task:
        kind === 'task_request'
          ? {
              ...{ id: taskId ?? id, type, input: payload, context: metadata },
              description: textIn(payload.query, textIn(payload.tool_name, textIn(payload.step_type, type))),
            }
          : null,
      result: kind === 'outcome' ? resultOf(payload) : null,
      fault: kind === 'error' ? faultOr(envelope.error ?? errorIn(metadata), 'failed') : null,
    };
  },
  envelope({ type, to, payload, taskId }, { id, now, self, answers, correlationId, priority, expiresAt }) {
    const { domain, action } = halvesOf(type);
    const [target = ''] = [to].flat();
    const { error, status, ...said } = objectIn(payload);
    const asked = objectIn(answers?.envelope);
    return {
      ...{
        message_id: id,
        task_id: taskId ?? answers?.taskId ?? crypto.randomUUID(),
        tenant_id: self.tenant,
      },
      ...kept(asked, ['session_id', 'conversation_id']),
      correlation_id: answers?.correlationId ?? correlationId ?? id,
      ...{ created_at: isoOf(now), expires_at: isoOf(expiresAt ?? now + DAY_MS), schema_version: '1.1' },
      status: statusOf(action, error, status),
      ...{ type: { domain, action }, priority: priority ?? asked.priority ?? 5 },
      ...{ source_service: self.id, target_service: target, payload: said },
      ...(answers === undefined ? {} : { metadata: { reply_to: answers.id } }),
      ...(error === undefined ? {} : { error }),
    };
  },
  request: ({ id, type, description, input, to }) => ({
    ...{ to, taskId: id },
    type: type.includes('.') ? type : 'agent.execute',
    payload: type.includes('.') ? input : { query: description, ...input },
  }),
  progress: (request, { percentage, note }) => ({
    ...{ type: `${halvesOf(request.type).domain}.status`, to: request.from },
    payload: { progress: percentage, ...(note === '' ? {} : { status_detail: note }) },
  }),
  completed: (request, result) => {
    const type = DONE[halvesOf(request.type).domain] ?? 'agent.response';
    return {
      ...{ type, to: request.from },
      payload:
        type === 'agent.response'
          ? responseOf(result)
          : { ...objectOr('result', result), status: 'completed' },
    };
  },
  failed: (request, fault) => ({
    ...{ type: `${halvesOf(request.type).domain}.error`, to: request.from },
    payload: { error: errorOf(fault, request.to[0] ?? '') },
  }),
  reply: (letter, payload) => ({
    ...{ type: DONE[halvesOf(letter.type).domain] ?? 'system.response', to: letter.from },
    payload: objectOr('result', payload),
  }),
  event: (topic, data) => ({
    ...{ type: 'system.notify', to: 'agent_orchestrator' },
    payload: { topic, ...objectOr('data', data) },
  }),
  remember: ({ key, value, tags }) => ({
    ...{ type: 'knowledge.update', to: 'knowledge_base' },
    payload: {
      ...{ operation: 'upsert', kb_id: 'memory' },
      document: {
        ...{ id: key, content: typeof value === 'string' ? value : JSON.stringify(value) },
        ...(tags === undefined ? {} : { metadata: { tags: [...tags] } }),
      },
    },
  }),
  recall: ({ text, limit }) => ({
    ...{ type: 'knowledge.search', to: 'knowledge_base' },
    payload: {
      ...{ query: text, filter: { kb_ids: ['memory'] } },
      request_options: { include_raw_content: true, ...(limit === undefined ? {} : { limit }) },
    },
  }),
};

function halvesOf(type: Json | undefined): { readonly domain: string; readonly action: string } {
  if (typeof type === 'string') {
    const [domain = '', action = ''] = type.split('.');
    return { domain, action };
  }
  const { domain, action } = objectIn(type);
  return { domain: textIn(domain), action: textIn(action) };
}

function kindOf(action: string, status: string, { command }: JsonObject): LetterKind {
  if (action === 'error' || status === 'failed') return 'error';
  if (action === 'update' && typeof command === 'string') return 'task_control';
  if (ASKING.has(action)) return 'task_request';
  if (['response', 'results', 'result'].includes(action)) return 'outcome';
  if (action === 'status') return status === 'completed' ? 'outcome' : 'progress';
  return 'message';
}

function statusOf(action: string, error: Json | undefined, status: Json | undefined): string {
  if (error !== undefined) return 'failed';
  if (typeof status === 'string') return status;
  if (action === 'status') return 'processing';
  return ['response', 'results', 'result'].includes(action) ? 'completed' : 'pending';
}

function responseOf(result: Json): JsonObject {
  const body = objectIn(result);
  if (typeof body.response === 'string') return body;
  if (typeof result === 'string') return { response: result };
  return { response: JSON.stringify(result), result };
}

/** What an answer gives: an agent's words themselves where there is nothing beside them. */
function resultOf(payload: JsonObject): Json {
  if ('result' in payload) return payload.result ?? null;
  return typeof payload.response === 'string' && Object.keys(payload).length === 1
    ? payload.response
    : payload;
}

function errorIn(metadata: JsonObject): JsonObject | undefined {
  if (metadata.error_code === undefined) return undefined;
  return {
    ...{ code: metadata.error_code, message: metadata.error_message ?? '' },
    details: metadata.error_details ?? {},
  };
}

function errorOf(fault: LetterFault, service: string): JsonObject {
  const { code, message, details, recoverable } = fault;
  return { code, message, details, retry_suggested: recoverable, service };
}

function kept(envelope: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(
    names.flatMap(name => (envelope[name] === undefined ? [] : [[name, envelope[name]]])),
  );
}
