// The artifacts a program may read: found by the name the task gives, by the artifact's own, or by id;
// an earlier task's by that task and the name it left it under.

import type { Readable } from 'node:stream';
import { DomainError } from '../../domain/errors.ts';
import type { AttemptContext } from '../../engine/ports/executor.ts';
import type { Grant } from './payload.ts';
import { isPlainName } from './wasm/names.ts';

/** An artifact under the name the program knows it by. */
export interface GrantedFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly stream: Readable;
}

/** Opens the artifacts of one attempt. */
export class Grants {
  readonly #context: Pick<AttemptContext, 'openArtifact'>;
  readonly #grants: readonly Grant[];
  readonly #names = new Map<string, Grant>();
  #areAllKnown = false;

  constructor(context: Pick<AttemptContext, 'openArtifact'>, grants: readonly Grant[]) {
    this.#context = context;
    this.#grants = grants;
    for (const grant of grants) {
      const { artifact, name } = grant;
      const known = typeof artifact === 'string' ? artifact : artifact.name;
      this.#names.set(known, grant);
      if (name !== undefined) this.#names.set(name, grant);
    }
  }

  /** Every granted file in turn, to be read before the next is asked for; throws `invalid_request` where two have one name. */
  async *all(): AsyncGenerator<GrantedFile> {
    const seen = new Set<string>();
    for (const grant of this.#grants) {
      const file = await this.#open(grant);
      if (seen.has(file.name)) {
        file.stream.destroy();
        throw new DomainError('invalid_request', `two artifacts are named ${file.name}: name them apart`, {
          details: { errors: [{ field: 'task_data.artifacts', message: `two are named ${file.name}` }] },
        });
      }
      seen.add(file.name);
      yield file;
    }
  }

  /** The file of this name or id; throws `not_found` for what was not granted. */
  async open(name: string): Promise<GrantedFile> {
    if (!this.#names.has(name)) await this.#learnNames();
    const grant = this.#names.get(name);
    if (grant === undefined) throw new DomainError('not_found', `no artifact named ${name} was granted`);
    return await this.#open(grant);
  }

  async #learnNames(): Promise<void> {
    if (this.#areAllKnown) return;
    for (const grant of this.#grants) {
      const { name, stream } = await this.#open(grant);
      stream.destroy();
      if (!this.#names.has(name)) this.#names.set(name, grant);
    }
    this.#areAllKnown = true;
  }

  async #open(grant: Grant): Promise<GrantedFile> {
    const { artifact, stream } = await this.#context.openArtifact(grant.artifact);
    const own = isPlainName(artifact.name) ? artifact.name : artifact.id;
    return { name: grant.name ?? own, sizeBytes: artifact.sizeBytes, stream };
  }
}
