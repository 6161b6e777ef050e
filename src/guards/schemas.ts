// Validation by JSON Schema. Our own schemas are compiled here once; those users register run in a thread that is killed when it
// takes too long, since a schema can hold a regular expression that never ends.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Ajv, type ValidateFunction } from 'ajv';
import { DomainError } from '../domain/errors.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import type { PayloadCheck } from '../engine/ports/schemas.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Service } from '../runtime/service.ts';
import { type Fault, faultsOf, SCHEMA_OPTIONS, type SchemaAnswer, type SchemaJob } from './schemas-thread.ts';

const JOB_MS_MAX = 1_000;
const SCHEMA_BYTES_MAX = 256 * 1_024;

/** Checks data against schemas, trusting only those it was given at construction. */
export class SchemaGuard implements PayloadCheck, Service {
  readonly #clock: Clock;
  readonly #trusted: ReadonlySet<JsonObject>;
  readonly #compiled = new Map<JsonObject, ValidateFunction>();
  readonly #ajv = new Ajv(SCHEMA_OPTIONS);
  #thread: Worker | null = null;
  #line: Promise<unknown> = Promise.resolve();

  constructor(clock: Clock, trusted: readonly JsonObject[]) {
    this.#clock = clock;
    this.#trusted = new Set(trusted);
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    await this.#thread?.terminate();
    this.#thread = null;
  }

  async check(schema: JsonObject, data: Json, root: string): Promise<void> {
    const faults = this.#trusted.has(schema)
      ? this.#checkHere(schema, data)
      : await this.#checkApart({ schema, data });
    refuse(faults, root, 'does not match its schema');
  }

  async admit(schema: JsonObject, root: string): Promise<void> {
    if (JSON.stringify(schema).length > SCHEMA_BYTES_MAX) {
      refuse([{ field: '', message: `is over ${SCHEMA_BYTES_MAX} bytes` }], root, 'is too large a schema');
    }
    refuse(await this.#checkApart({ schema }), root, 'is not a usable JSON Schema');
  }

  #checkHere(schema: JsonObject, data: Json): readonly Fault[] {
    const known = this.#compiled.get(schema);
    const validate = known ?? this.#ajv.compile(schema);
    if (known === undefined) this.#compiled.set(schema, validate);
    return validate(data) ? [] : faultsOf(validate.errors ?? []);
  }

  /** One job at a time, so that a job's time is its own. */
  #checkApart(job: SchemaJob): Promise<readonly Fault[]> {
    const turn = this.#line.then(() => this.#runApart(job));
    this.#line = turn.catch(() => {});
    return turn;
  }

  async #runApart(job: SchemaJob): Promise<readonly Fault[]> {
    // Its start is not the job's time.
    const thread = this.#thread ?? (await this.#launch());
    return new Promise((resolve, reject) => {
      const fail = (message: string): void => {
        cancel();
        this.#discard(thread);
        reject(
          new DomainError('invalid_request', message, {
            details: { hint: 'simplify the schema or the data' },
          }),
        );
      };
      const cancel = this.#clock.after(JOB_MS_MAX, () => fail('the schema takes too long to apply'));
      thread.removeAllListeners('message').once('message', (answer: SchemaAnswer) => {
        cancel();
        resolve(answer.faults);
      });
      thread.removeAllListeners('error').on('error', () => fail('the schema takes too much memory to apply'));
      thread.postMessage(job);
    });
  }

  async #launch(): Promise<Worker> {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const thread = new Worker(new URL(`./schemas-thread.${extension}`, import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: 64, stackSizeMb: 2 },
      env: {},
    });
    await once(thread, 'message');
    thread.unref();
    this.#thread = thread;
    return thread;
  }

  #discard(thread: Worker): void {
    this.#thread = null;
    thread.removeAllListeners();
    // A thread that dies of its limits reports it once more while it is terminated.
    thread.on('error', () => {});
    void thread.terminate();
  }
}

function refuse(faults: readonly Fault[], root: string, what: string): void {
  if (faults.length === 0) return;
  const errors = faults.map(({ field, message }) => ({
    field: field === '' ? root : `${root}.${field}`,
    message,
  }));
  const [first] = errors;
  throw new DomainError(
    'invalid_request',
    `${root} ${what}: ${first?.field ?? root} ${first?.message ?? ''}`,
    {
      details: { errors },
    },
  );
}
