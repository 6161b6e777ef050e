// Templates of workflows over HTTP: whoever manages workflows stores, lists and reads them (`NOOB-61`).

import Type from 'typebox';
import { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Route } from '../protocol.ts';
import { json, route } from '../route.ts';
import type { ResultSchemas } from './result-schemas.ts';
import type { Template } from './template.ts';
import type { Templates } from './templates.ts';

const anything = Type.Object({}, { additionalProperties: true });
const object = Type.Unsafe<JsonObject>({ type: 'object' });
const names = {
  template_id: Type.String({ pattern: '^[A-Za-z0-9._:-]{1,100}$' }),
  version: Type.String({ pattern: '^[0-9A-Za-z.-]{1,40}$' }),
};
const step = Type.Object(
  {
    step_id: Type.String({ minLength: 1, maxLength: 63 }),
    name: Type.String({ minLength: 1, maxLength: 200 }),
    step_type: Type.String({ minLength: 1, maxLength: 100 }),
    depends_on: Type.Optional(Type.Array(Type.String(), { maxItems: 1_000 })),
    condition: Type.Optional(Type.String({ maxLength: 10_000 })),
    agent_config: Type.Optional(object),
    input_data: Type.Optional(object),
    expected_output: Type.Optional(object),
    on_failure: Type.Optional(Type.String({ maxLength: 100 })),
    timeout_seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 2_592_000 })),
  },
  { additionalProperties: true },
);

/** The routes of templates. */
export function templateRoutes(templates: Templates, results: ResultSchemas): readonly Route[] {
  const path = '/protocols/nooble/workflow-templates';
  const common = { tag: 'nooble', rate: 'standard' } as const;
  return [
    route({
      ...common,
      method: 'GET',
      path,
      summary: 'Workflow templates, those shipped and your own',
      access: 'task:read',
      answers: { 200: anything },
      async handle({ principal }) {
        return json(200, { templates: await templates.list(principal.tenant) });
      },
    }),
    route({
      ...common,
      method: 'GET',
      path: `${path}/:template_id/:version`,
      summary: 'A version of a workflow template',
      access: 'task:read',
      params: Type.Object(names),
      answers: { 200: anything },
      async handle({ principal, params: { template_id: id, version } }) {
        const found = await templates.find(principal.tenant, id, version);
        if (found === null) throw new DomainError('not_found', `there is no workflow ${id} ${version}`);
        return json(200, found);
      },
    }),
    route({
      ...common,
      method: 'POST',
      path,
      summary: 'Store a version of a workflow template; it is checked, and never changes',
      access: 'workflow:manage',
      body: Type.Object({ ...names, steps: Type.Array(step, { minItems: 1, maxItems: 1_000 }) }),
      answers: { 201: anything },
      async handle({ principal, body }) {
        await templates.store(principal.tenant, body as Template);
        return json(201, { template_id: body.template_id, version: body.version });
      },
    }),
    ...schemaRoutes(results),
  ];
}

/** A name may have slashes, as `$ref` does; in a path they are written `%2F`. */
const schemaName = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$' });

function schemaRoutes(results: ResultSchemas): readonly Route[] {
  const schemas = '/protocols/nooble/result-schemas';
  const common = { tag: 'nooble', rate: 'standard' } as const;
  return [
    route({
      ...common,
      method: 'GET',
      path: schemas,
      summary: 'Your schemas of results, by name',
      access: 'task:read',
      answers: { 200: anything },
      async handle({ principal }) {
        return json(200, { schemas: await results.list(principal.tenant) });
      },
    }),
    route({
      ...common,
      method: 'POST',
      path: schemas,
      summary: 'Store or replace a schema that `expected_output` refers to by its name',
      access: 'workflow:manage',
      body: Type.Object({
        name: schemaName,
        schema: object,
      }),
      answers: { 201: anything },
      async handle({ principal, body: { name, schema } }) {
        await results.put(principal.tenant, name, schema);
        return json(201, { name });
      },
    }),
    route({
      ...common,
      method: 'DELETE',
      path: `${schemas}/:name`,
      summary: 'Remove a schema; what refers to it by its name refers to none then',
      access: 'workflow:manage',
      params: Type.Object({ name: schemaName }),
      answers: { 204: Type.Null() },
      async handle({ principal, params: { name } }) {
        if (!(await results.remove(principal.tenant, name)))
          throw new DomainError('not_found', `there is no schema ${name}`);
        return { kind: 'empty', status: 204 };
      },
    }),
  ];
}
