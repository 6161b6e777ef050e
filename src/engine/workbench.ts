// What an attempt in this process works with: its workspace, its secrets, its voice (progress, log, samples) and its artifacts.

import { mkdtempSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Artifact } from '../domain/artifact.ts';
import { DomainError } from '../domain/errors.ts';
import type { ArtifactId, TaskId } from '../domain/ids.ts';
import type { Json } from '../domain/json.ts';
import { asRunHere, type Task } from '../domain/task.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { Blobs, StoredBytes } from '../store/blobs.ts';
import type { Store } from '../store/store.ts';
import type { RunningAttempt } from './attempts.ts';
import { type Journal, keepsLines } from './journal.ts';
import { Mask } from './masking.ts';
import { inputFor, outputFor } from './pipe-ends.ts';
import type { Pipes } from './pipes.ts';
import type { ArtifactOfTask, AttemptContext, NewArtifact } from './ports/executor.ts';
import type { Sealer } from './ports/sealer.ts';
import type { SecretKeeper } from './ports/secrets.ts';
import { SEALED_MEDIA_TYPE, sealFile, sealingKeyOf } from './sealing.ts';
import type { Settlement } from './settlement.ts';
import { AttemptTraffic } from './traffic.ts';

/** An artifact is at most this large (`canonical.md`, limits). */
export const ARTIFACT_BYTES_MAX = 1_024 ** 3;

/** A context and what must be waited for and cleaned up after it. */
export interface Bench {
  readonly context: AttemptContext;
  /** Resolves when every report made so far is committed. */
  settled(): Promise<void>;
  /** Takes out what the attempt was given in confidence (`SAM-34`). */
  readonly mask: Mask;
  /** Removes the workspace with all that is in it. */
  clear(): Promise<void>;
}

/** Sets the table for attempts. */
export class Workbench {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #store: Pick<Store, 'artifacts' | 'putArtifacts' | 'read'>;
  readonly #blobs: Blobs;
  readonly #secrets: SecretKeeper;
  readonly #sealer: Sealer;
  readonly #journal: Journal;
  readonly #settlement: Settlement;
  readonly #pipes: Pipes;
  readonly #workRoot: string;

  constructor(
    log: Log,
    clock: Clock,
    random: Random,
    store: Pick<Store, 'artifacts' | 'putArtifacts' | 'read'>,
    parts: {
      readonly blobs: Blobs;
      readonly secrets: SecretKeeper;
      readonly sealer: Sealer;
      readonly journal: Journal;
      readonly settlement: Settlement;
      readonly pipes: Pipes;
    },
    options: { readonly workRoot: string },
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#random = random;
    this.#store = store;
    this.#blobs = parts.blobs;
    this.#secrets = parts.secrets;
    this.#sealer = parts.sealer;
    this.#journal = parts.journal;
    this.#settlement = parts.settlement;
    this.#pipes = parts.pipes;
    this.#workRoot = options.workRoot;
  }

  /** Removes what attempts of a killed process left behind; called once, before any attempt. */
  async sweep(): Promise<void> {
    await rm(this.#workRoot, { recursive: true, force: true });
    await mkdir(this.#workRoot, { recursive: true, mode: 0o700 });
  }

  /** A context for the attempt in a fresh workspace. */
  async set(attempt: RunningAttempt, signal: AbortSignal): Promise<Bench> {
    const task = taskHere(attempt.task);
    const { tenant, spec } = task;
    const secrets = spec.secretNames.length === 0 ? {} : await this.#secrets.values(tenant, spec.secretNames);
    const workRoot = this.#workRoot;
    let workspace: string | null = null;
    const mask = new Mask(this.#secrets, Object.values(secrets));
    const reports: Promise<void>[] = [];
    const report = (work: Promise<void>): void => {
      reports.push(
        work.catch(error =>
          this.#log.debug('a report came too late', { task: attempt.task.id, error: String(error) }),
        ),
      );
    };
    const traffic = this.#trafficOf(attempt);
    const context: AttemptContext = {
      task,
      checkpoint: task.checkpoint,
      secrets,
      signal,
      traffic,
      // Made when first asked for: most attempts need no disk.
      get workspace() {
        workspace ??= mkdtempSync(join(workRoot, 'attempt-'));
        return workspace;
      },
      report: progress => report(this.#settlement.report(attempt, mask.report(progress))),
      log: (level, message, metadata) => {
        if (!keepsLines(spec, level)) return;
        this.#journal.line({
          ...this.#origin(attempt),
          level,
          component: attempt.task.spec.type,
          agentId: attempt.agentId,
          message: mask.text(message),
          ...(metadata === undefined ? {} : { metadata: mask.json(metadata) }),
        });
      },
      sample: usage => this.#journal.sample({ ...this.#origin(attempt), ...usage }),
      warn: (resource, value, limit) => report(this.#settlement.warn(attempt, resource, value, limit)),
      openArtifact: which => this.#open(attempt, which),
      outputOf: id => this.#outputOf(attempt, id),
      saveArtifact: file => this.#save(attempt, file),
      input: name => inputFor(this.#pipes, attempt, name, signal),
      output: name => outputFor(this.#pipes, attempt, name, signal),
    };
    return {
      context,
      mask,
      async settled() {
        await Promise.all(reports);
      },
      async clear() {
        traffic.stop();
        if (workspace !== null) await rm(workspace, { recursive: true, force: true, maxRetries: 3 });
      },
    };
  }

  #trafficOf(attempt: RunningAttempt): AttemptTraffic {
    const { networkMbps } = attempt.task.spec.resources;
    return new AttemptTraffic(this.#clock, networkMbps, ({ bytesSent, bytesReceived }) =>
      this.#journal.sample({ ...this.#origin(attempt), bytesSent, bytesReceived }),
    );
  }

  #origin({ task }: RunningAttempt) {
    return { tenant: task.tenant, key: task.key, at: this.#clock.now(), attempt: task.attempt };
  }

  async #open(
    attempt: RunningAttempt,
    which: ArtifactId | ArtifactOfTask,
  ): ReturnType<AttemptContext['openArtifact']> {
    const { tenant } = attempt.task;
    const found =
      typeof which === 'string'
        ? await this.#store.artifacts({ tenant, id: which })
        : await this.#store.artifacts({ tenant, taskId: which.taskId as TaskId, name: which.name });
    // Oldest first, so that the last is of the last attempt.
    const artifact = found.findLast(({ quarantined }) => !quarantined);
    if (artifact === undefined) throw noArtifact(which);
    return { artifact, stream: await this.#blobs.read(artifact.sha256) };
  }

  async #outputOf(attempt: RunningAttempt, id: string): Promise<Json> {
    const [task] = await this.#store.read([{ tenant: attempt.task.tenant, id: id as TaskId }]);
    if (task?.result?.output === undefined) {
      throw new DomainError('not_found', `task ${id} has no output`, { details: { task_id: id } });
    }
    return task.result.output;
  }

  async #save(attempt: RunningAttempt, file: NewArtifact): Promise<Artifact> {
    const key = sealingKeyOf(attempt.task.spec);
    const source = key === undefined ? file.source : await sealFile(file, key, this.#sealer);
    const known = {
      id: this.#random.uuid() as ArtifactId,
      tenant: attempt.task.tenant,
      taskId: attempt.task.id,
      attempt: attempt.task.attempt,
      type: file.type,
      name: file.name,
      mediaType: key === undefined ? file.mediaType : SEALED_MEDIA_TYPE,
      createdAt: this.#clock.now(),
      quarantined: false,
    };
    const artifactOf = ({ sha256, sizeBytes }: StoredBytes): Artifact => ({
      ...known,
      sizeBytes,
      sha256,
    });
    const stored = await this.#blobs.write(source, ARTIFACT_BYTES_MAX, one =>
      this.#store.putArtifacts([artifactOf(one)]),
    );
    return artifactOf(stored);
  }
}

function taskHere(task: Task): Task {
  return task.spec.fallback === undefined ? task : { ...task, spec: asRunHere(task.spec) };
}

function noArtifact(which: ArtifactId | ArtifactOfTask): DomainError {
  if (typeof which === 'string')
    return new DomainError('not_found', `there is no artifact ${which}`, { details: { artifact_id: which } });
  const { taskId, name } = which;
  return new DomainError('not_found', `task ${taskId} left no artifact named ${name}`, {
    details: { task_id: taskId, artifact_name: name },
  });
}
