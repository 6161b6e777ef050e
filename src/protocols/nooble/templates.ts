// Templates of workflows: those shipped and those tenants store, checked when they are stored and put into the terms of whoever runs
// workflows when one is started (`NOOB-49` to `NOOB-62`).

import { asDomainError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Store } from '../../store/store.ts';
import { noobleError } from './errors.ts';
import type { ResultSchemas } from './result-schemas.ts';
import { SALES_ANALYSIS } from './sales-analysis.ts';
import type { Template, TemplateStep } from './template.ts';
import { findCycle, stepFaultOf } from './template-checks.ts';
import { failureOf, RETRIED } from './workflow-words.ts';

/** What of a run messages about it are checked against. */
export interface RunView {
  readonly task: string;
  readonly steps: readonly string[];
  readonly parameters: readonly string[];
}

const KIND = 'nooble_template';
const RUN_KIND = 'nooble_workflow';
const DAY_KIND = 'nooble_workflow_day';
const RUN_TERM_MS = 30 * 86_400_000;
const TRIES = 50;
const SHIPPED: readonly Template[] = [SALES_ANALYSIS];

/** The templates and runs of all tenants. */
export class Templates {
  readonly #store: Pick<Store, 'documents' | 'putDocuments'>;
  readonly #results: ResultSchemas;

  constructor(store: Pick<Store, 'documents' | 'putDocuments'>, results: ResultSchemas) {
    this.#store = store;
    this.#results = results;
  }

  /** The template, the newest of its versions where none is named; null where there is none. */
  async find(tenant: TenantId, id: string, version: string | null): Promise<Template | null> {
    const all = (await this.list(tenant)).filter(one => one.template_id === id);
    if (version !== null) return all.find(one => one.version === version) ?? null;
    return all.toSorted((one, other) => byVersion(other.version, one.version))[0] ?? null;
  }

  /** A tenant's templates, those shipped first. */
  async list(tenant: TenantId): Promise<readonly Template[]> {
    const stored = await this.#store.documents({ tenant, kind: KIND });
    const own = stored.map(({ body }) => body as Template);
    const isOwn = (shipped: Template): boolean => own.some(one => keyOf(one) === keyOf(shipped));
    return [...SHIPPED.filter(one => !isOwn(one)), ...own];
  }

  /** Stores a version of a template; throws WF_001 to WF_004 for what is wrong with it, VAL_005 where another is stored under its name. */
  async store(tenant: TenantId, template: Template): Promise<void> {
    checkTemplate(template);
    await this.#schemas(tenant, template);
    const [outcome] = await this.#store.putDocuments([
      { tenant, kind: KIND, id: keyOf(template), body: template, expected: 'absent' },
    ]);
    if (outcome?.status === 'done') return;
    const [known] = await this.#store.documents({ tenant, kind: KIND, ids: [keyOf(template)] });
    if (JSON.stringify(known?.body) !== JSON.stringify(template))
      throw noobleError('VAL_005', `${keyOf(template)} is another template`, {
        template_id: template.template_id,
      });
  }

  /** What the runner of workflows is told; throws WF_001 where results are to be by a schema that there is not. */
  async payload(
    tenant: TenantId,
    template: Template,
    { input, context }: { readonly input: JsonObject; readonly context: JsonObject },
  ): Promise<JsonObject> {
    const schemas = await this.#schemas(tenant, template);
    return {
      steps: template.steps.map(step => compiled(step, input, schemas.get(step.step_id) ?? null)),
      input: { ...input, workflow_context: context },
      tells_steps: true,
    };
  }

  /** What the result of each step must be. */
  async #schemas(tenant: TenantId, { steps }: Template): Promise<ReadonlyMap<string, JsonObject | null>> {
    const schemas = new Map<string, JsonObject | null>();
    for (const { step_id: id, expected_output: output } of steps) {
      const expected = await this.#results.expected(tenant, output).catch(error => {
        throw noobleError('WF_001', asDomainError(error).message, { step_id: id });
      });
      const [unknown] = expected.unknown;
      if (unknown !== undefined)
        throw noobleError('WF_001', `there is no schema ${unknown}`, { step_id: id, schema: unknown });
      schemas.set(id, expected.schema);
    }
    return schemas;
  }

  /** The name of a run: `wf-<day>-<number of the day>`, the same however often its task asks (`NOOB-51`). */
  async begin(tenant: TenantId, task: string, now: number, view: Omit<RunView, 'task'>): Promise<string> {
    const [known] = await this.#store.documents({ tenant, kind: RUN_KIND, ids: [`task:${task}`] });
    if (typeof known?.body.workflow_id === 'string') return known.body.workflow_id;
    const day = new Date(now).toISOString().slice(0, 10).replaceAll('-', '');
    const number = await this.#next(tenant, day);
    const id = `wf-${day}-${String(number).padStart(3, '0')}`;
    const body: JsonObject = { workflow_id: id, task, steps: view.steps, parameters: view.parameters };
    const expiresAt = now + RUN_TERM_MS;
    const [first] = await this.#store.putDocuments([
      { tenant, kind: RUN_KIND, id: `task:${task}`, body, expected: 'absent', expiresAt },
      { tenant, kind: RUN_KIND, id, body, expiresAt },
    ]);
    return first?.status === 'done' ? id : this.begin(tenant, task, now, view);
  }

  /** A run that was begun here; null where nobody knows it. */
  async run(tenant: TenantId, id: string): Promise<RunView | null> {
    const [found] = await this.#store.documents({ tenant, kind: RUN_KIND, ids: [id] });
    if (found === undefined) return null;
    const { task, steps, parameters } = found.body;
    return { task: String(task), steps: strings(steps), parameters: strings(parameters) };
  }

  /** The task that a workflow runs as now: another than the one that was started where a fallback took it up. */
  async current(tenant: TenantId, task: string): Promise<string> {
    const [found] = await this.#store.documents({ tenant, kind: RUN_KIND, ids: [`task:${task}`] });
    return typeof found?.body.current === 'string' ? found.body.current : task;
  }

  /** Notes that a workflow goes on as another task. */
  async takenUp(tenant: TenantId, task: string, current: string, now: number): Promise<void> {
    const [found] = await this.#store.documents({ tenant, kind: RUN_KIND, ids: [`task:${task}`] });
    if (found === undefined) return;
    const expiresAt = now + RUN_TERM_MS;
    const { workflow_id: id } = found.body;
    await this.#store.putDocuments([
      { tenant, kind: RUN_KIND, id: `task:${task}`, body: { ...found.body, current }, expiresAt },
      { tenant, kind: RUN_KIND, id: String(id), body: { ...found.body, task: current }, expiresAt },
    ]);
  }

  async #next(tenant: TenantId, day: string): Promise<number> {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const [found] = await this.#store.documents({ tenant, kind: DAY_KIND, ids: [day] });
      const number = Number(found?.body.count ?? 0) + 1;
      const [outcome] = await this.#store.putDocuments([
        { tenant, kind: DAY_KIND, id: day, body: { count: number }, expected: found?.version ?? 'absent' },
      ]);
      if (outcome?.status === 'done') return number;
    }
    throw noobleError('GEN_001', 'too many workflows are begun at once');
  }
}

/** Throws what is wrong with a template: WF_001, an unknown step WF_002, a condition WF_003, a cycle WF_004. */
export function checkTemplate({ steps }: Template): void {
  const ids = steps.map(step => step.step_id);
  const twice = ids.find((id, at) => ids.indexOf(id) !== at);
  if (twice !== undefined) throw noobleError('WF_001', `there are two steps ${twice}`, { step_id: twice });
  for (const step of steps) {
    const fault = stepFaultOf(step, ids);
    if (fault !== null) throw fault;
  }
  const cycle = findCycle(steps);
  if (cycle !== null)
    throw noobleError('WF_004', `steps wait for one another: ${cycle.join(' -> ')}`, { cycle: [...cycle] });
}

function compiled(step: TemplateStep, given: JsonObject, schema: JsonObject | null): JsonObject {
  const { step_id: id, step_type: type, depends_on: after, condition, on_failure: policy } = step;
  const { attempts, goesOn } = failureOf(policy);
  const common: JsonObject = {
    id,
    ...(after === undefined ? {} : { depends_on: after }),
    ...(condition === undefined ? {} : { condition }),
    ...(goesOn ? { on_failure: 'continue' } : {}),
  };
  const { timeout_seconds: timeout } = step;
  const input = isJsonObject(step.input_data) ? inputOf(step.input_data, given) : {};
  const work = (name: string, payload: JsonObject): JsonObject => ({
    ...common,
    kind: 'task',
    task_type: 'custom',
    description: step.name,
    task_data: { type_name: name, payload, step: { step_id: id, name: step.name } },
    ...(timeout === undefined ? {} : { timeout }),
    // Whatever it failed by, its policy says how often it is tried.
    ...(attempts === 1 ? {} : { retry: { max_attempts: attempts, delay: 1, codes: [...RETRIED] } }),
    ...(schema === null ? {} : { execution_config: { output_schema: schema } }),
  });
  switch (type) {
    case 'agent_task':
      return work('agent_task', {
        query: step.name,
        ...(step.agent_config === undefined ? {} : { agent_config: step.agent_config }),
        context: Object.entries(input).map(([name, content]) => ({ type: name, content: content ?? null })),
      });
    case 'tool_task':
      return work('tool_task', { tool_name: step.tool_name ?? step.name, parameters: input });
    case 'knowledge_search':
      return work('knowledge_search', { query: step.name, ...input });
    default: {
      const {
        step_id: _,
        name: __,
        step_type: ___,
        input_data: ____,
        expected_output: _____,
        ...rest
      } = step;
      return { ...rest, ...common, kind: type };
    }
  }
}

/** References in `input_data` as the runner reads them; all else is meant literally (`NOOB-56`). */
function inputOf(input: JsonObject, given: JsonObject): JsonObject {
  const read = Object.entries(input).flatMap(([name, value]): readonly (readonly [string, Json])[] => {
    if (!isJsonObject(value)) return [[name, value ?? null]];
    if (value.source === 'previous_step')
      return [[name, `\${{ steps."${value.step_id}".output${pathOf(value.path)} }}`]];
    if (value.source !== 'workflow_input') return [[name, value]];
    return (given[String(value.parameter)] ?? null) === null
      ? []
      : [[name, `\${{ input."${value.parameter}" }}`]];
  });
  return Object.fromEntries(read);
}

/** Parameters that steps need and a start does not give. */
export function missingParameters({ steps }: Template, given: JsonObject): readonly string[] {
  const needed = steps.flatMap(({ input_data: input = {} }) =>
    Object.values(input).flatMap(value =>
      isJsonObject(value) && value.source === 'workflow_input' && value.optional !== true
        ? [String(value.parameter)]
        : [],
    ),
  );
  return [...new Set(needed)].filter(name => given[name] === undefined);
}

function pathOf(path: Json | undefined): string {
  return typeof path === 'string' && path !== '' ? `.${path}` : '';
}

function keyOf({ template_id: id, version }: Pick<Template, 'template_id' | 'version'>): string {
  return `${id}@${version}`;
}

function strings(value: Json | undefined): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function byVersion(one: string, other: string): number {
  return one.localeCompare(other, 'en', { numeric: true });
}
