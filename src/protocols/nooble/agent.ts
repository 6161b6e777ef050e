// The built-in agent: it answers with the model that is configured, or with passages of what it was given (`NOOB-40` to `NOOB-47`).

import { asDomainError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { ModelMessage, ModelProvider, ModelTool } from '../../engine/ports/model-provider.ts';
import type { Conversations } from './conversations.ts';
import type { Dependencies } from './dependencies.ts';
import { noobleError } from './errors.ts';
import { extracts, type Passage, passagesOf, tokensOf } from './extract.ts';
import { type KnowledgeBase, queryOf } from './knowledge.ts';
import type { Settings } from './settings.ts';
import type { Tools } from './tools.ts';
import type { Errand } from './worker.ts';

/** What the agent works with. */
export interface AgentParts {
  readonly models: readonly ModelProvider[];
  readonly settings: Settings;
  readonly tools: Tools;
  readonly conversations: Conversations;
  readonly knowledge: KnowledgeBase;
  readonly dependencies: Dependencies;
}

interface Read {
  readonly passages: readonly Passage[];
  readonly history: readonly JsonObject[];
  readonly warnings: readonly string[];
}

const OUTPUT_TOKENS = 4_096;
const PROMPT_TOKENS_MAX = 128_000;
const TOOL_CALLS_MAX = 20;
/** As much of a query as knowledge is searched for. */
const QUERY_MAX = 2_000;
const NOTHING = {
  es: 'No se encontró nada en el contexto que responda a la consulta.',
  en: 'Nothing in the context answers the query.',
} as const;

/** The payload of an `agent.response`, with `reply_metadata` beside it. */
export async function answerQuery(
  errand: Errand,
  asked: {
    readonly payload: JsonObject;
    readonly language: keyof typeof NOTHING;
    readonly isSensitive: boolean;
  },
  parts: AgentParts,
): Promise<JsonObject> {
  const { payload } = asked;
  const read = await readContext(errand.tenant, asked, parts);
  const limit = typeof payload.max_tokens === 'number' ? payload.max_tokens : OUTPUT_TOKENS;
  const warned = read.warnings.length === 0 ? {} : { warnings: read.warnings };
  const [provider] = parts.models;
  if (provider !== undefined && !asked.isSensitive)
    return { ...(await byModel(errand, payload, { provider, read, limit, parts })), reply_metadata: warned };
  // What is sensitive is looked up nowhere: queries are remembered (NOOB-33).
  const known = asked.isSensitive
    ? []
    : await knownOf(errand.tenant, payload, read.passages, parts.knowledge);
  const answer = extracted(payload, [...read.passages, ...known], { limit, language: asked.language });
  // Events show nothing of what is sensitive, so that there is nothing to tell before the end.
  if (payload.stream === true && !asked.isSensitive) await stream(errand, String(answer.response));
  return { ...answer, reply_metadata: { fallback: 'extractive', ...warned } };
}

/** An answer of passages, best first, as many as the limit has room for. */
function extracted(
  payload: JsonObject,
  passages: readonly Passage[],
  { limit, language }: { readonly limit: number; readonly language: keyof typeof NOTHING },
): JsonObject {
  const query = String(payload.query);
  const found = extracts(query, passages);
  const fitting: (typeof found)[number][] = [];
  let tokens = 0;
  for (const one of found) {
    const more = tokensOf(one.text) + 1;
    if (tokens + more > limit) continue;
    tokens += more;
    fitting.push(one);
  }
  const response = fitting.length === 0 ? NOTHING[language] : fitting.map(({ text }) => text).join('\n\n');
  const completion = tokensOf(response);
  const documents = Map.groupBy(
    fitting.filter(one => one.document !== null),
    one => String(one.document),
  );
  return {
    response,
    completion_tokens: completion,
    total_tokens: completion + tokensOf(query),
    tool_calls: [],
    sources: [...documents].map(([document, parts]) => ({
      document_id: document,
      chunks: parts.flatMap(({ chunk }) => chunk ?? []),
      relevance_score: Math.max(...parts.map(({ score }) => score)),
    })),
  };
}

async function readContext(
  tenant: TenantId,
  { payload, isSensitive }: Parameters<typeof answerQuery>[1],
  parts: AgentParts,
): Promise<Read> {
  const items = Array.isArray(payload.context) ? payload.context.filter(isJsonObject) : [];
  const passages: Passage[] = [];
  const history: JsonObject[] = [];
  const warnings: string[] = [];
  for (const { type, content } of items) {
    if (type === 'conversation_history') {
      const told = await historyOf(tenant, content ?? null, isSensitive, parts.conversations);
      history.push(...told.messages);
      warnings.push(...told.warnings);
      continue;
    }
    if (type === 'document_reference' && isJsonObject(content)) {
      const id = String(content.document_id);
      const chunks = Array.isArray(content.chunks) ? content.chunks.map(Number) : null;
      const found = await parts.knowledge.passages(tenant, id, chunks);
      if (found === null) warnings.push(`there is no document ${id}`);
      for (const { text, chunk } of found ?? []) passages.push({ text, document: id, chunk });
      continue;
    }
    for (const text of textsIn(content ?? null)) passages.push({ text, document: null, chunk: null });
  }
  for (const { content } of history)
    for (const text of passagesOf(String(content ?? '')))
      passages.push({ text, document: null, chunk: null });
  return { passages, history, warnings };
}

/** What the tenant knows of the query, beside what the message brings. */
async function knownOf(
  tenant: TenantId,
  { query }: JsonObject,
  passages: readonly Passage[],
  knowledge: KnowledgeBase,
): Promise<readonly Passage[]> {
  const asked = String(query).trim().slice(0, QUERY_MAX);
  if (asked === '') return [];
  const { hits } = await knowledge.search(tenant, queryOf({ query: asked }));
  return hits
    .map(({ documentId, chunkId, content }) => ({
      ...{ text: content, document: documentId },
      chunk: Number(/\d+$/.exec(chunkId)?.[0] ?? 1),
    }))
    .filter(one => !passages.some(({ document, chunk }) => document === one.document && chunk === one.chunk));
}

/** What was said before; what is sensitive of it only for a task that is (`NOOB-33`). */
async function historyOf(
  tenant: TenantId,
  content: Json,
  isSensitive: boolean,
  conversations: Conversations,
): Promise<{ readonly messages: readonly JsonObject[]; readonly warnings: readonly string[] }> {
  if (Array.isArray(content)) return { messages: content.filter(isJsonObject), warnings: [] };
  if (!isJsonObject(content) || typeof content.conversation_id !== 'string')
    return { messages: [], warnings: [] };
  const { messages, reply_metadata: more } = await conversations.read(tenant, content.conversation_id, {
    ...{ payload: {}, isSensitive },
  });
  const warnings = isJsonObject(more) && Array.isArray(more.warnings) ? more.warnings.map(String) : [];
  const all = Array.isArray(messages) ? messages.filter(isJsonObject) : [];
  return { messages: all.filter(({ withheld }) => withheld === undefined), warnings };
}

function textsIn(value: Json): readonly string[] {
  if (typeof value === 'string') return passagesOf(value);
  return value === null ? [] : passagesOf(JSON.stringify(value));
}

/** The text as it grows; the pieces joined are the answer (`NOOB-46`). */
async function stream(errand: Errand, response: string): Promise<void> {
  const pieces = response.match(/[\s\S]{1,400}/g) ?? [];
  for (const [at, content] of pieces.entries())
    await errand.report({
      percentage: Math.round(((at + 1) / (pieces.length + 1)) * 100),
      intermediate: { stream_content: { type: 'text', content } },
    });
}

interface ModelScene {
  readonly provider: ModelProvider;
  readonly read: Read;
  readonly limit: number;
  readonly parts: AgentParts;
}

async function byModel(errand: Errand, payload: JsonObject, scene: ModelScene): Promise<JsonObject> {
  const { provider, limit, parts } = scene;
  const { modelNames } = await parts.settings.of(errand.tenant);
  const config = isJsonObject(payload.agent_config) ? payload.agent_config : {};
  const { temperature, model: named } = isJsonObject(config.parameters) ? config.parameters : {};
  const model = typeof named === 'string' ? (modelNames[named] ?? named) : (provider.models[0] ?? '');
  const messages: ModelMessage[] = [...promptOf(payload, scene.read)];
  const prompt = tokensOf(messages.map(one => ('text' in one ? one.text : '')).join(''));
  if (prompt > PROMPT_TOKENS_MAX)
    throw noobleError('AEX_002', `the prompt has about ${prompt} tokens`, {
      tokens: prompt,
      limit: PROMPT_TOKENS_MAX,
    });
  const calls: JsonObject[] = [];
  let [completion, total] = [0, 0];
  for (;;) {
    const answer = await generated(errand, scene, {
      ...{ model, messages, outputTokensMax: limit - completion, stream: false, signal: errand.signal },
      ...(typeof temperature === 'number' ? { temperature } : {}),
      tools: toolsOf(payload),
    });
    completion += answer.usage.outputTokens;
    total += answer.usage.inputTokens + answer.usage.outputTokens;
    if (answer.finishReason === 'length' || completion > limit)
      throw noobleError('AEX_002', `the completion reached ${completion} tokens`, {
        tokens: completion,
        limit,
      });
    if (answer.toolCalls.length === 0) {
      if (payload.stream === true) await stream(errand, answer.text);
      return {
        response: answer.text,
        completion_tokens: completion,
        total_tokens: total,
        tool_calls: calls,
        sources: [],
      };
    }
    messages.push({ role: 'assistant', text: answer.text, toolCalls: answer.toolCalls });
    for (const { id, name, input } of answer.toolCalls) {
      if (calls.length >= TOOL_CALLS_MAX)
        throw noobleError('AEX_005', `a task calls at most ${TOOL_CALLS_MAX} tools`, {
          limit: TOOL_CALLS_MAX,
        });
      const parameters = parsed(input);
      const result = await parts.tools.run(errand.tenant, { tool_name: name, parameters }, errand);
      calls.push({ tool_name: name, parameters, result });
      messages.push({ role: 'tool', callId: id, name, result });
    }
  }
}

/** What the model answers; throws AEX_004 where it fails, whatever the reason, with the breaker of its provider. */
async function generated(
  { tenant, signal }: Errand,
  { provider, parts }: ModelScene,
  request: Parameters<ModelProvider['generate']>[0],
): Promise<Awaited<ReturnType<ModelProvider['generate']>>> {
  const dependency = { service: provider.name, operation: 'generate' };
  try {
    return await parts.dependencies.call(tenant, dependency, () => provider.generate(request), signal);
  } catch (error) {
    if (signal.aborted) throw error;
    const { code, message, details } = asDomainError(error);
    throw noobleError('AEX_004', message, { ...details, cause_code: code });
  }
}

function promptOf(payload: JsonObject, { passages, history }: Read): readonly ModelMessage[] {
  const told = history.flatMap(({ role, content }): readonly ModelMessage[] =>
    role === 'assistant' || role === 'user' ? [{ role, text: String(content ?? '') }] : [],
  );
  const context = passages.map(({ text }) => text).join('\n\n');
  const system: readonly ModelMessage[] =
    context === '' ? [] : [{ role: 'system', text: `What is known of the matter:\n\n${context}` }];
  return [...system, ...told, { role: 'user', text: String(payload.query) }];
}

function toolsOf(payload: JsonObject): readonly ModelTool[] {
  const tools = Array.isArray(payload.tools) ? payload.tools.filter(isJsonObject) : [];
  return tools.map(({ name, description = '', parameters }) => ({
    name: String(name),
    description: String(description),
    parameters: isJsonObject(parameters) ? parameters : { type: 'object' },
  }));
}

/** What a model wrote as a tool's input; what is no object is an empty one, which the tool's schema judges. */
function parsed(input: string): JsonObject {
  try {
    const value: unknown = JSON.parse(input);
    return isJsonObject(value) ? value : {};
  } catch {
    return {};
  }
}
