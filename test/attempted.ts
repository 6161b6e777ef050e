// An attempt run through one executor, with all that it told and left: what the tests of every executor's folder share.

import { buffer } from 'node:stream/consumers';
import type { Artifact } from '../src/domain/artifact.ts';
import type { ArtifactId } from '../src/domain/ids.ts';
import type { JsonObject } from '../src/domain/json.ts';
import type { TaskError } from '../src/domain/task.ts';
import type {
  AttemptContext,
  AttemptResult,
  Executor,
  NewArtifact,
  ProgressReport,
} from '../src/engine/ports/executor.ts';
import { AttemptTraffic } from '../src/engine/traffic.ts';
import { systemClock } from '../src/runtime/clock.ts';

/** What any attempt may be given beside its payload. */
export interface GivenToAll {
  readonly signal?: AbortSignal;
  readonly onReport?: (report: ProgressReport) => void;
}

/** Runs payloads; a folder says how an order of its type looks, and what its attempts may read. */
export abstract class Attempted<Given extends GivenToAll> {
  readonly executor: Executor;
  readonly workspace: string;
  readonly reports: ProgressReport[] = [];
  readonly warnings: string[] = [];
  readonly saved = new Map<string, Buffer>();
  /** Of the last run. */
  traffic = new AttemptTraffic(systemClock, undefined);

  constructor(executor: Executor, workspace: string) {
    this.executor = executor;
    this.workspace = workspace;
  }

  /** The task, and what the type reads beside it; what is absent reads nothing. */
  protected abstract contextOf(
    payload: JsonObject,
    given: Given,
  ): Pick<AttemptContext, 'task'> & Partial<AttemptContext>;

  /** Called before a file is saved; its throwing fails the saving. */
  protected async beforeSave(_file: NewArtifact, _given: Given): Promise<void> {}

  async run(payload: JsonObject, given?: Given): Promise<AttemptResult> {
    return this.executor.run(this.#context(payload, given ?? ({} as Given)));
  }

  /** The output of an attempt that must complete. */
  async output(payload: JsonObject, given?: Given): Promise<JsonObject> {
    const result = await this.run(payload, given);
    if (result.status === 'completed') return result.output as JsonObject;
    throw new Error(`${result.error.code}: ${result.error.message} ${JSON.stringify(result.error.details)}`);
  }

  /** The error of an attempt that must fail. */
  async error(payload: JsonObject, given?: Given): Promise<TaskError> {
    const result = await this.run(payload, given);
    if (result.status === 'failed') return result.error;
    throw new Error(`completed with ${JSON.stringify(result.output)}`);
  }

  #context(payload: JsonObject, given: Given): AttemptContext {
    const own = this.contextOf(payload, given);
    this.traffic = new AttemptTraffic(systemClock, own.task.spec.resources?.networkMbps);
    return {
      checkpoint: null,
      secrets: {},
      signal: given.signal ?? new AbortController().signal,
      workspace: this.workspace,
      traffic: this.traffic,
      report: progress => {
        this.reports.push(progress);
        given.onReport?.(progress);
      },
      log: () => {},
      sample: () => {},
      warn: (resource, value, limit) => this.warnings.push(`${resource} ${value} of ${limit}`),
      openArtifact: () => Promise.reject(new Error('nothing is read here')),
      outputOf: () => Promise.reject(new Error('nothing is read here')),
      saveArtifact: file => this.#save(file, given),
      ...NO_PIPES,
      ...own,
    };
  }

  async #save(file: NewArtifact, given: Given): Promise<Artifact> {
    await this.beforeSave(file, given);
    const { name, mediaType, source } = file;
    const bytes = source instanceof Uint8Array ? Buffer.from(source) : await buffer(source);
    this.saved.set(name, bytes);
    const id = `artifact-${this.saved.size}` as ArtifactId;
    return { id, name, mediaType, sizeBytes: bytes.length, sha256: '0' } as Artifact;
  }
}

/** Of a task that is no step of a pipeline. */
export const NO_PIPES: Pick<AttemptContext, 'input' | 'output'> = {
  input: name => {
    throw new Error(`there is no input ${name}`);
  },
  output: name => {
    throw new Error(`there is no output ${name}`);
  },
};
