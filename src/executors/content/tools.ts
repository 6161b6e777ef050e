// The tools a model may ask for: called at the endpoints their requester named, through the outbound guard. What the model writes and
// what the endpoint answers are both checked; a call that fails is told to the model, which may do without.

import { DomainError } from '../../domain/errors.ts';
import type { Json } from '../../domain/json.ts';
import type { AttemptContext } from '../../engine/ports/executor.ts';
import type { ModelTool, ModelToolCall } from '../../engine/ports/model-provider.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { PayloadCheck } from '../../engine/ports/schemas.ts';
import { maskJson } from '../../guards/mask.ts';
import { readForeign } from './foreign.ts';
import type { DeclaredTool } from './payload.ts';

const TIMEOUT_MS = 30_000;
const ANSWER_BYTES_MAX = 256 * 1_024;
const INPUT_CHARS_MAX = 256 * 1_024;

/** What tools are called with. */
export interface ToolParts {
  readonly outbound: Outbound;
  readonly schemas: PayloadCheck;
  readonly context: Pick<AttemptContext, 'task' | 'secrets' | 'signal' | 'log'>;
}

/** The tools of one task. */
export class Tools {
  readonly #declared: ReadonlyMap<string, DeclaredTool>;
  readonly #parts: ToolParts;
  readonly #secrets: readonly string[];

  constructor(declared: readonly DeclaredTool[], parts: ToolParts) {
    this.#declared = new Map(declared.map(tool => [tool.name, tool]));
    this.#parts = parts;
    this.#secrets = Object.values(parts.context.secrets);
  }

  /** As a model is told of them. */
  get offered(): readonly ModelTool[] {
    return [...this.#declared.values()].map(({ name, description, parameters }) => ({
      name,
      description,
      parameters,
    }));
  }

  /** Whether the requester calls the tool itself, when it gets the result. */
  isForeign(name: string): boolean {
    const tool = this.#declared.get(name);
    return tool !== undefined && tool.endpoint === undefined;
  }

  /** What a call brought, for the model to read; rejects only with the abort's reason. */
  async call(call: ModelToolCall): Promise<Json> {
    const { context } = this.#parts;
    try {
      // An endpoint that echoes its secret would have the model tell it to everyone.
      const result = maskJson(await this.#call(call), this.#secrets);
      context.log('INFO', `tool ${call.name} answered`, { tool: call.name });
      return result;
    } catch (error) {
      if (context.signal.aborted || !(error instanceof DomainError)) throw error;
      context.log('WARN', `tool ${call.name} failed: ${error.message}`, {
        tool: call.name,
        code: error.code,
      });
      return { error: error.message };
    }
  }

  async #call({ id, name, input }: ModelToolCall): Promise<Json> {
    const tool = this.#declared.get(name);
    if (tool?.endpoint === undefined) throw new DomainError('not_found', 'there is no such tool');
    const given = argumentsIn(input);
    await this.#parts.schemas.check(tool.parameters, given, 'arguments');
    const { context, outbound } = this.#parts;
    const secret = tool.secret === undefined ? undefined : context.secrets[tool.secret];
    const { status, body } = await outbound.send({
      url: tool.endpoint,
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/plain',
        'idempotency-key': `${context.task.executionId}-${context.task.attempt}-${id}`.replace(
          /[^\x21-\x7e]/g,
          '_',
        ),
        ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }),
      },
      body: Buffer.from(JSON.stringify({ tool: name, arguments: given })),
      timeoutMs: TIMEOUT_MS,
      answerBytesMax: ANSWER_BYTES_MAX,
      signal: context.signal,
    });
    if (status < 200 || status >= 300)
      throw new DomainError('dependency_failed', `the tool answered ${status}`);
    return jsonOrText(Buffer.from(body).toString('utf8'));
  }
}

function argumentsIn(input: string): Json {
  if (input.length > INPUT_CHARS_MAX) throw new DomainError('invalid_request', 'the arguments are too long');
  // A tool without parameters is often called with nothing at all.
  const read = readForeign(input === '' ? '{}' : input);
  if ('wrong' in read) throw new DomainError('invalid_request', `the input ${read.wrong}`);
  return read.value;
}

function jsonOrText(text: string): Json {
  const read = readForeign(text);
  return 'wrong' in read ? text : read.value;
}
