// From a payload to a plan: every template and expression parsed, every reference known, and what contradicts itself said field by field.
// The engine has checked the payload against its schema before.

import { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { type Expression, ParseBudget, parseExpression } from './expressions.ts';
import type { ApiPayload, ApiRequest, Auth } from './payload.ts';
import {
  expressionsIn,
  type JsonTemplate,
  parseJsonTemplate,
  parseTemplate,
  type Template,
} from './templates.ts';

/** How a request authenticates; `identity` is the user or client, where there is one. */
export interface PlannedAuth {
  readonly auth: Exclude<Auth, { readonly type: 'none' }>;
  readonly identity: Template;
}

/** A request, ready to be filled in. */
export interface PlannedRequest {
  readonly index: number;
  readonly name: string;
  readonly field: string;
  readonly spec: ApiRequest;
  readonly method: NonNullable<ApiRequest['method']>;
  readonly url: Template;
  readonly headers: readonly (readonly [string, Template])[];
  readonly query: readonly (readonly [string, JsonTemplate])[];
  readonly body: JsonTemplate | null;
  readonly form: readonly (readonly [string, Template])[] | null;
  /** The id of an artifact to send. */
  readonly file: Template | null;
  readonly auth: PlannedAuth | null;
  readonly extract: readonly (readonly [string, Expression])[];
  readonly condition: Expression | null;
  readonly items: Expression | null;
  readonly cursor: Expression | null;
  readonly idempotencyKey: Template | true | null;
  /** Whether sending it twice does no more than sending it once (`SAM-159`). */
  readonly repeatable: boolean;
  /** Earlier requests whose responses it speaks of. */
  readonly needs: ReadonlySet<number>;
  /** What has to be evaluated before it can be sent. */
  readonly expressions: readonly Expression[];
}

/** All of a task's requests. */
export interface Plan {
  readonly requests: readonly PlannedRequest[];
  readonly parallel: number;
  readonly perSecond: number;
  readonly inputs: JsonObject;
  readonly result: Expression | null;
}

interface Fault {
  readonly field: string;
  readonly message: string;
}

/** What a task may speak of beside its payload. */
export interface Known {
  readonly secretNames: readonly string[];
}

const UNSAFE = new Set(['POST', 'PATCH']);
const PER_SECOND = 10;
const FAULTS_MAX = 100;

/** The plan; throws `invalid_request` with every fault as `{field, message}` in `details.errors` (`SAM-161`). */
export function planOf(payload: JsonObject, known: Known): Plan {
  const typed = payload as unknown as ApiPayload;
  const faults: Fault[] = [];
  if ((typed.request === undefined) === (typed.requests === undefined)) {
    faults.push({ field: 'task_data', message: 'must have exactly one of request and requests' });
  }
  const single = typed.requests === undefined;
  const specs = typed.requests ?? (typed.request === undefined ? [] : [typed.request]);
  const names = specs.map((spec, index) => spec.save_as ?? `request_${index + 1}`);
  const planner = new Planner(names, known, faults);
  const requests = specs.map((spec, index) =>
    planner.request(spec, index, {
      field: single ? 'task_data.request' : `task_data.requests.${index}`,
      auth: typed.auth,
    }),
  );
  const result =
    typed.result === undefined ? null : planner.expression(typed.result, 'task_data.result', names.length);
  refuse(faults);
  return {
    requests,
    result,
    parallel: typed.parallel ?? 1,
    perSecond: typed.rate_limit?.requests_per_second ?? PER_SECOND,
    inputs: typed.inputs ?? {},
  };
}

/** Throws `invalid_request` for these faults, if there are any. */
export function refuse(faults: readonly Fault[]): void {
  const [first] = faults;
  if (first === undefined) return;
  const errors = faults.slice(0, FAULTS_MAX).map(({ field, message }) => ({ field, message }));
  throw new DomainError('invalid_request', `${first.field} ${first.message}`, { details: { errors } });
}

/** True for a template whose value is found, at no great cost, before any request is sent and without any secret. */
export function isKnownAhead(template: Template): boolean {
  return expressionsIn(template).every(
    ({ names, isPlain }) => isPlain && !names.has('responses') && !names.has('secrets') && !names.has('$'),
  );
}

class Planner {
  readonly #names: readonly string[];
  readonly #known: Known;
  readonly #faults: Fault[];
  readonly #budget = new ParseBudget();

  constructor(names: readonly string[], known: Known, faults: Fault[]) {
    this.#names = names;
    this.#known = known;
    this.#faults = faults;
  }

  request(
    spec: ApiRequest,
    index: number,
    { field, auth }: { readonly field: string; readonly auth: Auth | undefined },
  ): PlannedRequest {
    this.#contradictions(spec, index, field);
    const template = (text: string, at: string): Template => this.#template(text, `${field}.${at}`, index);
    const value = (json: Parameters<typeof parseJsonTemplate>[0], at: string): JsonTemplate =>
      this.#json(json, `${field}.${at}`, index);
    const templates = (group: Readonly<Record<string, string>> | undefined, at: string) =>
      Object.entries(group ?? {}).map(([name, text]) => [name, template(text, `${at}.${name}`)] as const);
    const own = (text: string | undefined, at: string): Expression | null =>
      text === undefined ? null : this.#answered(text, `${field}.${at}`);
    const { idempotency_key: key, pagination } = spec;
    const parts = {
      url: template(spec.url, 'url'),
      headers: templates(spec.headers, 'headers'),
      query: Object.entries(spec.query ?? {}).map(
        ([name, one]) => [name, value(one, `query.${name}`)] as const,
      ),
      body: spec.body === undefined ? null : value(spec.body, 'body'),
      form: spec.form === undefined ? null : templates(spec.form, 'form'),
      file: spec.body_artifact === undefined ? null : template(spec.body_artifact, 'body_artifact'),
      auth: this.#auth(
        spec.auth ?? auth,
        spec.auth === undefined ? 'task_data.auth' : `${field}.auth`,
        index,
      ),
      idempotencyKey: typeof key === 'string' ? template(key, 'idempotency_key') : (key ?? null),
    };
    this.#urlFaults(parts.url, `${field}.url`);
    const expressions = expressionsOf(parts);
    const method = spec.method ?? 'GET';
    return {
      ...parts,
      index,
      name: this.#names[index] ?? '',
      field,
      spec,
      method,
      expressions,
      extract: Object.entries(spec.extract ?? {}).flatMap(([name, text]) => {
        const found = own(text, `extract.${name}`);
        return found === null ? [] : [[name, found] as const];
      }),
      condition: own(spec.expect?.condition, 'expect.condition'),
      items: own(pagination?.items, 'pagination.items'),
      cursor: own(pagination?.type === 'cursor' ? pagination.cursor : undefined, 'pagination.cursor'),
      repeatable: !UNSAFE.has(method) || spec.retry_unsafe === true || key !== undefined,
      needs: this.#needsOf(expressions, index),
    };
  }

  /** An expression over what templates see, before the request of this number. */
  expression(text: string, field: string, before: number): Expression | null {
    try {
      const found = parseExpression(text, this.#budget);
      this.#references([found], field, before);
      return found;
    } catch (error) {
      this.#fault(field, `is not an expression: ${(error as Error).message}`);
      return null;
    }
  }

  /** An expression over an answer. */
  #answered(text: string, field: string): Expression | null {
    try {
      return parseExpression(text, this.#budget);
    } catch (error) {
      this.#fault(field, `is not an expression: ${(error as Error).message}`);
      return null;
    }
  }

  #template(text: string, field: string, before: number): Template {
    try {
      const template = parseTemplate(text, this.#budget);
      this.#references(expressionsIn(template), field, before);
      return template;
    } catch (error) {
      this.#fault(field, `is not a template: ${(error as Error).message}`);
      return [];
    }
  }

  #json(json: Parameters<typeof parseJsonTemplate>[0], field: string, before: number): JsonTemplate {
    try {
      const template = parseJsonTemplate(json, this.#budget);
      this.#references(expressionsIn(template), field, before);
      return template;
    } catch (error) {
      this.#fault(field, `is not a template: ${(error as Error).message}`);
      return { kind: 'value', value: null };
    }
  }

  #auth(auth: Auth | undefined, field: string, before: number): PlannedAuth | null {
    if (auth === undefined || auth.type === 'none') return null;
    this.#secret(auth.secret, `${field}.secret`);
    const identity =
      auth.type === 'basic'
        ? this.#template(auth.username, `${field}.username`, before)
        : auth.type === 'oauth2_client_credentials'
          ? this.#template(auth.client_id, `${field}.client_id`, before)
          : [];
    return { auth, identity };
  }

  #references(expressions: readonly Expression[], field: string, before: number): void {
    for (const { text, names, references } of expressions) {
      for (const { place, name } of references) {
        if (place === 'secrets') this.#secret(name, field);
        const known = this.#names.indexOf(name);
        if (place === 'responses' && (known < 0 || known >= before)) {
          this.#fault(field, `speaks of responses.${name}, which no earlier request saves`);
        }
      }
      const named = references.some(({ place }) => place === 'secrets');
      if (names.has('secrets') && !named) this.#fault(field, `must name the secret it means: {{ ${text} }}`);
    }
  }

  #secret(name: string, field: string): void {
    if (this.#known.secretNames.includes(name)) return;
    this.#fault(field, `names the secret ${name}, which execution_config.environment.secrets does not list`);
  }

  #urlFaults(url: Template, field: string): void {
    const [first = ''] = url;
    if (typeof first !== 'string') return;
    const malformed = url.length === 1 ? !URL.canParse(first) : !/^https?:\/\//i.test(first);
    if (malformed || /[\s\p{Cc}]/u.test(first)) this.#fault(field, 'is not an absolute http or https URL');
  }

  #contradictions(spec: ApiRequest, index: number, field: string): void {
    const { method = 'GET', body, form, body_artifact, pagination, expect, response } = spec;
    if (this.#names.indexOf(this.#names[index] ?? '') !== index) {
      this.#fault(`${field}.save_as`, 'is the name of an earlier request');
    }
    const bodies = Object.entries({ body, form, body_artifact }).filter(([, one]) => one !== undefined);
    const [[given] = []] = bodies;
    if (bodies.length > 1) this.#fault(field, 'must have one of body, form and body_artifact at most');
    if (given !== undefined && (method === 'GET' || method === 'HEAD')) {
      this.#fault(`${field}.${given}`, `does not go with ${method}`);
    }
    const whole = response?.as === 'artifact' || response?.as === 'text';
    if (pagination !== undefined && (whole || method === 'HEAD')) {
      this.#fault(`${field}.pagination`, 'needs answers of JSON');
    }
    if (expect?.schema !== undefined && whole)
      this.#fault(`${field}.expect.schema`, 'needs an answer of JSON');
  }

  #needsOf(expressions: readonly Expression[], index: number): ReadonlySet<number> {
    const needs = new Set<number>();
    for (const { names, references } of expressions) {
      if (!names.has('responses') && !names.has('$')) continue;
      const named = references.filter(({ place }) => place === 'responses').map(({ name }) => name);
      // One that takes responses in a way not seen here may mean any.
      const earlier = named.length === 0 ? this.#names.slice(0, index) : named;
      for (const name of earlier) needs.add(this.#names.indexOf(name));
    }
    return needs;
  }

  #fault(field: string, message: string): void {
    this.#faults.push({ field, message });
  }
}

function expressionsOf(
  parts: Pick<
    PlannedRequest,
    'url' | 'headers' | 'query' | 'body' | 'form' | 'file' | 'auth' | 'idempotencyKey'
  >,
): readonly Expression[] {
  const { url, headers, query, body, form, file, auth, idempotencyKey } = parts;
  const all = [
    url,
    ...headers.map(([, template]) => template),
    ...query.map(([, template]) => template),
    ...(form ?? []).map(([, template]) => template),
    ...(body === null ? [] : [body]),
    ...(file === null ? [] : [file]),
    ...(auth === null ? [] : [auth.identity]),
    ...(idempotencyKey === null || idempotencyKey === true ? [] : [idempotencyKey]),
  ];
  const byText = new Map(all.flatMap(expressionsIn).map(expression => [expression.text, expression]));
  return [...byText.values()];
}
