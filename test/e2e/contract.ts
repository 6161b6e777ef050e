// The contract as the server itself states it: its OpenAPI document, which operation a request meets, and whether an answer is one
// that the document promises.

import assert from 'node:assert/strict';
import { Ajv, type ValidateFunction } from 'ajv';
import type { Loose } from '../serve.ts';

/** A field, parameter or header as the document describes it. */
export type Schema = Loose;

/** One method on one path. */
export interface Operation {
  readonly id: string;
  readonly method: string;
  /** `/api/v2/tasks/{task_id}/cancel`. */
  readonly path: string;
  readonly spec: Loose;
}

/** An answer as far as a contract can judge it. */
export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Loose;
}

/** A document, and which of its promises were seen kept. */
export interface Contract {
  readonly operations: readonly Operation[];
  /** Operations by id, with the statuses whose answers were held against their schema. */
  readonly seen: ReadonlyMap<string, ReadonlySet<number>>;
  find(method: string, path: string): Operation | undefined;
  /** Fails the test unless the answer is one the operation promises. */
  hold(operation: Operation, answer: Answered): void;
}

/** Whether the operation answers a stream of events, which may have no end. */
export function isStream({ spec }: Pick<Operation, 'spec'>): boolean {
  return Object.values<Loose>(spec.responses).some(({ content = {} }) => 'text/event-stream' in content);
}

/** What stands under a name anywhere in an error's body: each wire has a place of its own for it. */
export function toldIn(body: Loose, name: string): Loose {
  if (typeof body !== 'object' || body === null) return undefined;
  if (!Array.isArray(body) && name in body) return body[name];
  for (const inner of Object.values(body)) {
    const found = toldIn(inner, name);
    if (found !== undefined) return found;
  }
  return undefined;
}

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** Reads the document a server serves to anybody. */
export async function contractOf(url: string): Promise<Contract> {
  const response = await fetch(`${url}/api/v2/openapi.json`);
  assert.equal(response.status, 200);
  const document: Loose = await response.json();
  const ajv = new Ajv({ strict: false, allErrors: true, formats: { 'date-time': INSTANT, uri: true } });
  ajv.addSchema({ $id: 'document', components: document.components });
  const operations = operationsIn(document);
  const patterns = operations.map(operation => ({ operation, pattern: patternOf(operation.path) }));
  const compiled = new Map<string, ValidateFunction | null>();
  const seen = new Map<string, Set<number>>();
  return {
    operations,
    seen,
    find: (method, path) =>
      patterns.find(one => one.operation.method === method && one.pattern.test(path))?.operation,
    hold(operation, answer) {
      const name = `${operation.id} ${answer.status}`;
      let check = compiled.get(name);
      if (check === undefined) {
        const schema = schemaOf(operation, answer.status);
        check = schema === null ? null : ajv.compile(schema);
        compiled.set(name, check);
      }
      held(operation, answer, check, ajv);
      seen.set(operation.id, (seen.get(operation.id) ?? new Set()).add(answer.status));
    },
  };
}

function operationsIn(document: Loose): readonly Operation[] {
  return Object.entries<Loose>(document.paths).flatMap(([path, methods]) =>
    Object.entries<Loose>(methods).map(([method, spec]) => ({
      id: String(spec.operationId),
      method: method.toUpperCase(),
      path,
      spec,
    })),
  );
}

/** Literal paths come before templates in the document's own order of routes, except where a template stands first. */
function patternOf(path: string): RegExp {
  const parts = path.split(/(\{\w+\})/).map(part => (part.startsWith('{') ? '[^/]+' : escaped(part)));
  return new RegExp(`^${parts.join('')}$`);
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** The schema of a JSON answer, `null` where the answer has no JSON body; a status nobody promised is an error's. */
function schemaOf({ method, spec }: Operation, status: number): Schema | null {
  if (method === 'HEAD') return null;
  const response = spec.responses[status] ?? spec.responses.default;
  const content = response.content ?? {};
  if (content['application/json'] === undefined) return null;
  const { schema } = content['application/json'];
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"document#/'));
}

function held(
  { id, spec }: Operation,
  { status, headers, body }: Answered,
  check: ValidateFunction | null,
  ajv: Ajv,
): void {
  const isPromised = String(status) in spec.responses;
  assert.ok(isPromised || status >= 400, `${id} answered ${status}, which the document does not know`);
  assert.ok(headers.get('x-request-id'), `${id} ${status} names no request`);
  if (check === null) return;
  const media = headers.get('content-type') ?? 'nothing';
  const others = Object.keys(spec.responses[status]?.content ?? {}).filter(one => one !== 'application/json');
  if (others.some(one => media.startsWith(one))) return;
  assert.match(media, /^application\/json/, `${id} ${status} is ${media}`);
  assert.ok(check(body), `${id} ${status}: ${ajv.errorsText(check.errors)} in ${shown(body)}`);
}

function shown(body: unknown): string {
  return JSON.stringify(body)?.slice(0, 600) ?? 'nothing';
}
