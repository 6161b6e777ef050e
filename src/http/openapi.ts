// The OpenAPI 3.1 document, made from the very routes and schemas the server checks requests with (`SAM-4`).

import type { TSchema } from 'typebox';
import type { JsonObject } from '../domain/json.ts';
import type { Protocol, Route } from '../protocols/protocol.ts';
import { IDEMPOTENCY_HEADER, takesKey } from './repeats.ts';

interface ObjectSchema {
  readonly properties?: Readonly<
    Record<string, { readonly default?: unknown; readonly description?: string }>
  >;
  readonly required?: readonly string[];
}

/** Headers any request may bear. */
const REQUEST_HEADERS = {
  'X-Request-ID': 'Names the request in answers, logs and audit; one is made where it is absent.',
  traceparent: 'W3C trace context to continue.',
};

/** Headers every answer bears. */
const ANSWER_HEADERS = {
  'X-Request-ID': { description: 'The name of the request.', schema: { type: 'string' } },
  'X-RateLimit-Limit': { description: 'Requests a window.', schema: { type: 'integer' } },
  'X-RateLimit-Remaining': { description: 'Requests left in this window.', schema: { type: 'integer' } },
  'X-RateLimit-Reset': { description: 'When the window ends, in Unix seconds.', schema: { type: 'integer' } },
  'X-RateLimit-Window': { description: 'Length of the window in seconds.', schema: { type: 'integer' } },
};

/** The document over all wires; `version` is the program's. */
export function openApiOf(protocols: readonly Protocol[], version: string): JsonObject {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const protocol of protocols) {
    for (const route of protocol.routes) {
      const path = route.path.replace(/:([A-Za-z_]+)/g, '{$1}');
      paths[path] ??= {};
      paths[path][route.method.toLowerCase()] = operationOf(route, protocol);
    }
  }
  const document = {
    openapi: '3.1.0',
    info: { title: 'Batuta', version, description: 'The durable task backbone for AI agents.' },
    paths,
    components: {
      schemas: Object.fromEntries(protocols.map(one => [`${one.name}_error`, one.errorSchema])),
      headers: ANSWER_HEADERS,
      securitySchemes: SECURITY_SCHEMES,
    },
  };
  // Through text, so that what a library hides in its schemas stays hidden.
  return JSON.parse(JSON.stringify(document)) as JsonObject;
}

const SECURITY_SCHEMES = {
  jwt: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
  api_key: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
  api_secret: { type: 'apiKey', in: 'header', name: 'X-API-Secret' },
  hmac: {
    type: 'apiKey',
    in: 'header',
    name: 'Authorization',
    description: 'HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…, with X-Timestamp.',
  },
};

function operationOf(route: Route, protocol: Protocol): object {
  return {
    summary: route.summary,
    tags: [route.tag],
    operationId: operationId(route),
    ...(route.access === 'public'
      ? { security: [] }
      : { security: [{ jwt: [] }, { api_key: [], api_secret: [] }, { hmac: [] }] }),
    ...(route.access === 'public' || route.access === 'authenticated'
      ? {}
      : { 'x-permission': route.access }),
    parameters: [
      ...parametersOf(route.params, 'path'),
      ...parametersOf(route.query, 'query'),
      ...parametersOf(route.headers, 'header'),
      ...keyOf(route),
      ...Object.entries(REQUEST_HEADERS).map(([name, description]) => ({
        name,
        in: 'header',
        description,
        schema: { type: 'string' },
      })),
    ],
    ...bodyOf(route),
    responses: responsesOf(route, protocol),
  };
}

function keyOf(route: Route): readonly object[] {
  if (!takesKey(route)) return [];
  const { name, description, lengthMax } = IDEMPOTENCY_HEADER;
  const schema = { type: 'string', minLength: 1, maxLength: lengthMax };
  return [{ name, in: 'header', required: false, description, schema }];
}

function operationId({ method, path }: Route): string {
  const words = path.split(/[/:._-]+/).filter(word => word !== '' && word !== 'api' && word !== 'v2');
  return [method.toLowerCase(), ...words].join('_');
}

function parametersOf(schema: TSchema | undefined, where: 'path' | 'query' | 'header'): readonly object[] {
  const { properties = {}, required = [] } = (schema ?? {}) as ObjectSchema;
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: where,
    required: where === 'path' || (required.includes(name) && property.default === undefined),
    ...(property.description === undefined ? {} : { description: property.description }),
    schema: property,
  }));
}

function bodyOf(route: Route): object {
  if (route.bodyAs === 'stream')
    return {
      requestBody: { required: true, content: { '*/*': { schema: { type: 'string', format: 'binary' } } } },
    };
  if (route.body === undefined) return {};
  const { required = [] } = route.body as ObjectSchema;
  return {
    requestBody: { required: required.length > 0, content: { 'application/json': { schema: route.body } } },
  };
}

function responsesOf(route: Route, protocol: Protocol): object {
  const headers = Object.fromEntries(
    Object.keys(ANSWER_HEADERS).map(name => [name, { $ref: `#/components/headers/${name}` }]),
  );
  const answers = Object.entries(route.answers).map(([status, schema]) => [
    status,
    { description: describe(schema), headers, ...contentOf(schema) },
  ]);
  const failure = {
    description: 'An error.',
    headers,
    content: { 'application/json': { schema: { $ref: `#/components/schemas/${protocol.name}_error` } } },
  };
  return { ...Object.fromEntries(answers), default: failure };
}

function describe(schema: TSchema): string {
  return (schema as { readonly description?: string }).description ?? 'As asked.';
}

/**
 * A schema may name another media type than JSON in `contentMediaType`, and in `orText` one of text that the answer may have instead; one
 * of type null means an empty answer.
 */
function contentOf(schema: TSchema): object {
  const {
    type,
    contentMediaType = 'application/json',
    orText,
  } = schema as { readonly type?: string; readonly contentMediaType?: string; readonly orText?: string };
  if (type === 'null') return {};
  const other = orText === undefined ? {} : { [orText]: { schema: { type: 'string' } } };
  return { content: { [contentMediaType]: { schema }, ...other } };
}
