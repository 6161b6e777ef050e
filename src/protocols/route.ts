// How routes are written: with the types their schemas give.

import type { Static, TSchema } from 'typebox';
import type { Call, Reply, Route } from './protocol.ts';

type StaticOf<Schema> = Schema extends TSchema ? Static<Schema> : unknown;

/** A route whose handler sees its body, query and params as their schemas describe them. */
export interface TypedRoute<
  Body extends TSchema | undefined,
  Query extends TSchema | undefined,
  Params extends TSchema | undefined,
> extends Omit<Route, 'body' | 'query' | 'params' | 'handle'> {
  readonly body?: Body;
  readonly query?: Query;
  readonly params?: Params;
  handle(call: Call<StaticOf<Body>, StaticOf<Query>, StaticOf<Params>>): Promise<Reply>;
}

/** The route as the port wants it: the http floor checks the schemas, so the handler's types hold. */
export function route<
  Body extends TSchema | undefined = undefined,
  Query extends TSchema | undefined = undefined,
  Params extends TSchema | undefined = undefined,
>(typed: TypedRoute<Body, Query, Params>): Route {
  return typed as Route;
}

/** A JSON answer. */
export function json(status: number, body: unknown, headers?: Readonly<Record<string, string>>): Reply {
  return headers === undefined ? { kind: 'json', status, body } : { kind: 'json', status, body, headers };
}
