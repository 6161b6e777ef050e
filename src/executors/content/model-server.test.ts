// A server that speaks OpenAI's API over a real socket, and misbehaves when told to: the far end of this folder's tests.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import type { JsonObject } from '../../domain/json.ts';

/** A request as it came. */
export interface Asked {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: JsonObject;
}

/** Answers one request. */
export type Answer = (response: ServerResponse, asked: Asked) => void;

/** The server: requests are answered by `answers` in turn, then as a well-behaved model would. */
export interface ModelServer {
  readonly url: string;
  readonly asked: Asked[];
  readonly answers: Answer[];
  /** Connections that were cut by the other side. */
  readonly aborted: () => number;
}

/** Starts one, stopped after the test. */
export async function openModelServer(t: TestContext): Promise<ModelServer> {
  const asked: Asked[] = [];
  const answers: Answer[] = [];
  let aborted = 0;
  const server = createServer(async (request, response) => {
    const one = { path: request.url ?? '', headers: request.headers, body: JSON.parse(await text(request)) };
    asked.push(one);
    response.on('close', () => {
      if (!response.writableFinished) aborted += 1;
    });
    (answers.shift() ?? obedient)(response, one);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/v1`, asked, answers, aborted: () => aborted };
}

/** A PNG of one pixel. */
export const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

const USAGE = { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 };

const obedient: Answer = (response, asked) => {
  switch (asked.path) {
    case '/v1/chat/completions':
      return says('Hello from the model.')(response, asked);
    case '/v1/images/generations': {
      const data = Array.from({ length: Number(asked.body.n) }, () => ({ b64_json: PNG.toString('base64') }));
      return json({ created: 1, data })(response, asked);
    }
    case '/v1/moderations':
      return json({ results: [{ flagged: false, categories: { violence: false } }] })(response, asked);
    default:
      return status(404)(response, asked);
  }
};

/** Answers a status with headers and body. */
export function status(code: number, headers: Record<string, string> = {}, body: unknown = {}): Answer {
  return response => {
    response.writeHead(code, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
}

/** Answers JSON. */
export function json(body: unknown): Answer {
  return status(200, {}, body);
}

/** Writes a text, in pieces where a stream was asked for. */
export function says(
  words: string,
  more: { readonly finish?: string; readonly usage?: object | null } = {},
): Answer {
  const { finish = 'stop', usage = USAGE } = more;
  return (response, asked) => {
    const base = { id: 'c1', created: 1, model: `${asked.body.model}-2026` };
    if (asked.body.stream !== true) {
      const choices = [{ index: 0, message: { role: 'assistant', content: words }, finish_reason: finish }];
      return json({ ...base, choices, ...(usage === null ? {} : { usage }) })(response, asked);
    }
    const pieces = words.match(/[\s\S]{1,7}/g) ?? [];
    stream(response, [
      ...pieces.map(content => chunk(base, { content })),
      { ...base, choices: [{ index: 0, delta: {}, finish_reason: finish }] },
      ...(usage === null ? [] : [{ ...base, choices: [], usage }]),
    ]);
    response.end('data: [DONE]\n\n');
  };
}

/** Asks for tools. */
export function calls(
  wanted: readonly { readonly id: string; readonly name: string; readonly input: string }[],
): Answer {
  return (response, asked) => {
    const base = { id: 'c1', created: 1, model: String(asked.body.model) };
    const tool_calls = wanted.map(({ id, name, input }, index) => ({
      index,
      id,
      type: 'function',
      function: { name, arguments: input },
    }));
    if (asked.body.stream !== true) {
      const message = { role: 'assistant', content: null, tool_calls };
      return json({ ...base, choices: [{ index: 0, message, finish_reason: 'tool_calls' }], usage: USAGE })(
        response,
        asked,
      );
    }
    stream(response, [
      chunk(base, { tool_calls }),
      { ...base, choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] },
      { ...base, choices: [], usage: USAGE },
    ]);
    response.end('data: [DONE]\n\n');
  };
}

/** Begins a stream with these words and then does as it is told. */
export function begins(words: string, then: (response: ServerResponse) => void): Answer {
  return response => {
    stream(response, [chunk({ id: 'c1', created: 1, model: 'm' }, { content: words })]);
    then(response);
  };
}

/** One piece of a stream, as text to write. */
export function piece(content: string): string {
  return `data: ${JSON.stringify(chunk({ id: 'c1', created: 1, model: 'm' }, { content }))}\n\n`;
}

function stream(response: ServerResponse, chunks: readonly object[]): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const one of chunks) response.write(`data: ${JSON.stringify(one)}\n\n`);
}

function chunk(base: object, delta: object): object {
  return { ...base, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: null }] };
}

/** Resolves once the server saw its connection cut. */
export async function cut(server: { aborted(): number }): Promise<void> {
  while (server.aborted() === 0) await new Promise(resolve => setImmediate(resolve));
}
