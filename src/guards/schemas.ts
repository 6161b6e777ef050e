// Validation by JSON Schema. Our own schemas are compiled here once; those users register run in a thread that is killed when it
// takes too long, since a schema can hold a regular expression that never ends.

import { Ajv, type ValidateFunction } from 'ajv';
import { DomainError } from '../domain/errors.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import type { PayloadCheck } from '../engine/ports/schemas.ts';
import { beside } from '../runtime/beside.ts';
import type { Clock } from '../runtime/clock.ts';
import { KillableThread } from '../runtime/killable-thread.ts';
import type { Service } from '../runtime/service.ts';
import { type Fault, faultsOf, SCHEMA_OPTIONS, type SchemaAnswer, type SchemaJob } from './schemas-thread.ts';

const JOB_MS_MAX = 1_000;
const SCHEMA_BYTES_MAX = 256 * 1_024;

/** Checks data against schemas, trusting only those it was given at construction. */
export class SchemaGuard implements PayloadCheck, Service {
  readonly #trusted: ReadonlySet<JsonObject>;
  readonly #compiled = new Map<JsonObject, ValidateFunction>();
  readonly #ajv = new Ajv(SCHEMA_OPTIONS);
  readonly #apart: KillableThread<SchemaJob, SchemaAnswer>;

  constructor(clock: Clock, trusted: readonly JsonObject[]) {
    this.#trusted = new Set(trusted);
    this.#apart = new KillableThread(clock, {
      file: beside(import.meta.url, 'schemas-thread'),
      memoryMb: 64,
      jobMsMax: JOB_MS_MAX,
      killed: (_job, excess) =>
        new DomainError(
          'invalid_request',
          `the schema takes too ${excess === 'time' ? 'long' : 'much memory'} to apply`,
          {
            details: { hint: 'simplify the schema or the data' },
          },
        ),
    });
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    await this.#apart.stop();
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

  async #checkApart(job: SchemaJob): Promise<readonly Fault[]> {
    return (await this.#apart.run(job)).faults;
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
