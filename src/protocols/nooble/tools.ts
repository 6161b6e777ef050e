// The registry of tools: those built in, and those administrators register: behind an endpoint, or done by an agent (`NOOB-69`, `NOOB-70`).

import { asDomainError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { PayloadCheck } from '../../engine/ports/schemas.ts';
import { mask } from '../../guards/mask.ts';
import type { Store } from '../../store/store.ts';
import { parseJson } from '../json.ts';
import type { Dependencies } from './dependencies.ts';
import { noobleError } from './errors.ts';
import { analyse, collectRecords, deliver, recommend, writeReport } from './sales-analysis.ts';

/** A tool. */
export interface Tool extends JsonObject {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of what it is given. */
  readonly parameters: JsonObject;
  readonly endpoint?: string;
  readonly agent?: string;
}

/** What the registry works with. */
export interface ToolParts {
  readonly store: Pick<Store, 'documents' | 'putDocuments'>;
  readonly outbound: Outbound;
  readonly schemas: PayloadCheck;
  readonly dependencies: Dependencies;
}

/** How long a call may take, and what ends it sooner. */
export interface ToolTerms {
  readonly signal: AbortSignal;
  readonly withinMs: number;
}

const KIND = 'nooble_tool';
const CALL_MS = 30_000;
const ANSWER_MAX = 1_048_576;

const schema = (properties: JsonObject, required: readonly string[] = []): JsonObject => ({
  type: 'object',
  properties,
  required,
});
const BUILT_IN: readonly Tool[] = [
  {
    name: 'data_analysis',
    description: 'Analiza datos de ventas',
    parameters: schema(
      {
        date_range: { type: ['string', 'null'], description: 'Rango de fechas para el análisis' },
        metrics: { type: ['array', 'null'], items: { type: 'string' }, description: 'Métricas a analizar' },
        records: { type: ['array', 'null'], description: 'Registros de ventas' },
      },
      ['date_range'],
    ),
  },
  { name: 'collect_records', description: 'Reúne los registros de un periodo', parameters: schema({}) },
  { name: 'recommend', description: 'Recomienda a partir de un análisis', parameters: schema({}) },
  { name: 'write_report', description: 'Redacta un informe en Markdown', parameters: schema({}) },
  { name: 'deliver', description: 'Entrega un informe a quien lo pidió', parameters: schema({}) },
];

const RUNS: ReadonlyMap<string, (parameters: JsonObject) => JsonObject> = new Map([
  ['data_analysis', analyse],
  ['collect_records', collectRecords],
  ['recommend', recommend],
  ['write_report', writeReport],
  ['deliver', deliver],
]);

/** The tools of all tenants. */
export class Tools {
  readonly #parts: ToolParts;

  constructor(parts: ToolParts) {
    this.#parts = parts;
  }

  /** The tool of that name, a tenant's own before one built in; null where there is none. */
  async find(tenant: TenantId, name: string): Promise<Tool | null> {
    const [found] = await this.#parts.store.documents({ tenant, kind: KIND, ids: [name] });
    return (found?.body as Tool | undefined) ?? BUILT_IN.find(one => one.name === name) ?? null;
  }

  /** Registers or removes a tool; throws VAL_001, `resource_not_found`. */
  async change(tenant: TenantId, payload: JsonObject): Promise<JsonObject> {
    const { operation = 'register', name, description = '', parameters = {}, endpoint, agent } = payload;
    const id = String(name);
    if (operation === 'remove') {
      const [found] = await this.#parts.store.documents({ tenant, kind: KIND, ids: [id] });
      if (found === undefined)
        throw noobleError('resource_not_found', `there is no tool ${id}`, { tool_name: id });
      await this.#parts.store.putDocuments([{ tenant, kind: KIND, id, body: null }]);
      return { tool_name: id, status: 'removed' };
    }
    if ((endpoint === undefined) === (agent === undefined))
      throw noobleError('VAL_001', 'a tool has either an endpoint or an agent', {
        field: 'payload.endpoint',
      });
    await this.#parts.schemas.admit(parameters as JsonObject, 'payload.parameters');
    if (typeof endpoint === 'string') await this.#parts.outbound.check(endpoint);
    const body = {
      ...{ name: id, description: String(description), parameters: parameters as JsonObject },
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(agent === undefined ? {} : { agent }),
    };
    await this.#parts.store.putDocuments([{ tenant, kind: KIND, id, body }]);
    return { tool_name: id, status: 'registered' };
  }

  /** All tools, without what only the server needs to know of them. */
  async list(tenant: TenantId): Promise<JsonObject> {
    const stored = (await this.#parts.store.documents({ tenant, kind: KIND })).map(
      ({ body }) => body as Tool,
    );
    const own = new Set(stored.map(({ name }) => name));
    const tools = [...BUILT_IN.filter(({ name }) => !own.has(name)), ...stored];
    return {
      tools: tools.map(({ name, description, parameters, endpoint, agent }) => ({
        ...{ name, description, parameters },
        kind: endpoint === undefined ? (agent === undefined ? 'built_in' : 'agent') : 'endpoint',
      })),
    };
  }

  /** What the tool answers; throws AEX_003 where it is not there, VAL_001 for parameters it does not take, AEX_005 where it fails. */
  async run(tenant: TenantId, payload: JsonObject, terms: ToolTerms): Promise<Json> {
    const name = String(payload.tool_name);
    const parameters = isJsonObject(payload.parameters) ? payload.parameters : {};
    const tool = await this.find(tenant, name);
    if (tool === null || (tool.agent !== undefined && tool.endpoint === undefined))
      throw noobleError('AEX_003', 'there is no such tool here', { tool_name: name });
    await this.#check(tool, parameters);
    const run = tool.endpoint === undefined ? RUNS.get(name) : undefined;
    return run === undefined ? this.#call(tenant, tool, parameters, terms) : run(parameters);
  }

  async #check({ parameters: wanted }: Tool, parameters: JsonObject): Promise<void> {
    try {
      await this.#parts.schemas.check(wanted, parameters, 'payload.parameters');
    } catch (error) {
      const { message, details } = asDomainError(error);
      throw noobleError('VAL_001', message, details);
    }
  }

  async #call(tenant: TenantId, tool: Tool, parameters: JsonObject, terms: ToolTerms): Promise<Json> {
    const { name, endpoint = '' } = tool;
    const dependency = { service: new URL(endpoint).host, operation: name };
    const call = () => this.#ask(tool, parameters, terms);
    try {
      return await this.#parts.dependencies.call(tenant, dependency, call, terms.signal);
    } catch (thrown) {
      if (terms.signal.aborted) throw thrown;
      const { code, message, details } = asDomainError(thrown);
      if (details.nooble_code !== undefined || PASSED_ON.includes(code)) throw thrown;
      // Nobody is there: it is offline.
      const told = code === 'dependency_failed' ? 'AEX_003' : 'AEX_005';
      throw noobleError(told, message, { ...details, tool_name: name });
    }
  }

  async #ask(
    { name, endpoint = '' }: Tool,
    parameters: JsonObject,
    { signal, withinMs }: ToolTerms,
  ): Promise<Json> {
    const body = new TextEncoder().encode(JSON.stringify({ tool: name, arguments: parameters }));
    const answer = await this.#parts.outbound.send({
      ...{ url: endpoint, method: 'POST', headers: { 'content-type': 'application/json' }, body },
      ...{ timeoutMs: Math.min(CALL_MS, withinMs), answerBytesMax: ANSWER_MAX, signal },
    });
    const { status } = answer;
    if (status >= 300)
      throw noobleError(DOWN.includes(status) ? 'GEN_005' : 'AEX_005', `the tool answered ${status}`, {
        ...{ tool_name: name, status_code: status },
        response: mask(Buffer.from(answer.body).toString('utf8')).slice(0, 4_096),
      });
    return parseJson(Buffer.from(answer.body)) as Json;
  }
}

/** What gateways and servers say of themselves while they are down. */
const DOWN: readonly number[] = [502, 503, 504];
const PASSED_ON: readonly string[] = ['circuit_open', 'upstream_timeout'];
