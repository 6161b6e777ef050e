// The far end of the wire for tests of clients: a server on the loopback that answers as it is told and remembers what it was asked.

import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { JsonObject } from '../domain/json.ts';

/** A request as it arrived. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  readonly json: JsonObject;
  /** Aborts when the caller goes away before it was answered. */
  readonly gone: AbortSignal;
}

/** What to answer: JSON, text, or whatever `write` does with the response; `drop` cuts the connection. */
export interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly text?: string;
  readonly write?: (response: ServerResponse) => void;
  readonly drop?: boolean;
}

/** A server that is told what to answer. */
export interface FarEnd {
  readonly url: string;
  /** Everything asked so far, in order. */
  readonly asked: readonly Asked[];
  /** Resolves with the first request that matches, come or still to come. */
  heard(matches: (asked: Asked) => boolean): Promise<Asked>;
}

/** Serves until the test ends; `answer` gets the request and how many came before it. */
export async function farEnd(
  context: TestContext,
  answer: (asked: Asked, earlier: number) => Answer | Promise<Answer>,
): Promise<FarEnd> {
  const asked: Asked[] = [];
  const listeners = new Set<() => void>();
  const server = createServer((request, response) => {
    void (async () => {
      const one = await read(request, response);
      asked.push(one);
      for (const listener of listeners) listener();
      respond(response, await answer(one, asked.length - 1));
    })();
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    heard: matches =>
      new Promise(resolve => {
        const look = (): void => {
          const found = asked.find(matches);
          if (found === undefined) return;
          listeners.delete(look);
          resolve(found);
        };
        listeners.add(look);
        look();
      }),
  };
}

/** An error body as the wire has it. */
export function wireError(status: number, code: string, more: JsonObject = {}): Answer {
  return {
    status,
    json: {
      error: { code, message: `refused: ${code}`, details: {}, retry_after: null, ...more },
      request_id: 'req-1',
      timestamp: '2026-01-01T00:00:00.000Z',
      trace_id: 'trace-1',
    },
  };
}

/** A status body of a task in the given state. */
export function statusOf(taskId: string, current: JsonObject, details: JsonObject = {}): JsonObject {
  return {
    task_id: taskId,
    execution_id: `exec-${taskId}`,
    agent_id: 'agent-1',
    task_type: 'custom',
    current_status: { outcome: null, ...current },
    execution_details: details,
  };
}

async function read(request: IncomingMessage, response: ServerResponse): Promise<Asked> {
  const gone = new AbortController();
  response.on('close', () => response.writableEnded || gone.abort());
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  const url = new URL(request.url ?? '/', 'http://localhost');
  const isJson = request.headers['content-type'] === 'application/json';
  return {
    method: request.method ?? '',
    path: url.pathname,
    query: url.searchParams,
    headers: request.headers,
    text,
    json: isJson ? (JSON.parse(text) as JsonObject) : {},
    gone: gone.signal,
  };
}

function respond(response: ServerResponse, answer: Answer): void {
  if (answer.drop === true) {
    response.destroy();
    return;
  }
  response.writeHead(answer.status ?? 200, {
    ...(answer.json === undefined ? {} : { 'content-type': 'application/json' }),
    ...answer.headers,
  });
  if (answer.write !== undefined) answer.write(response);
  else response.end(answer.json === undefined ? (answer.text ?? '') : JSON.stringify(answer.json));
}

test('the far end answers what it is told and remembers what it was asked', async context => {
  const end = await farEnd(context, (asked, earlier) => ({ json: { path: asked.path, earlier } }));
  const first = await fetch(`${end.url}/a?b=c`);
  assert.deepEqual(await first.json(), { path: '/a', earlier: 0 });
  assert.equal((await end.heard(asked => asked.query.get('b') === 'c')).method, 'GET');
});
