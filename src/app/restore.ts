// Restores: puts a backup where a data directory was. Nothing of an old one is deleted, no server gets in meanwhile, and what agents
// held when the backup was taken goes back to its queue, so that nobody who still works on it can end it.

import { existsSync, rmSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DomainError } from '../domain/errors.ts';
import { DEFAULT_TENANT, type DeliveryId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import { type ChangeTools, requeue } from '../engine/changes.ts';
import { type Clock, systemClock } from '../runtime/clock.ts';
import { type Random, systemRandom } from '../runtime/random.ts';
import type { LeaseRow, TaskChange } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import { copyFile, refuseSharedStore, SETTINGS_FILE, told, verifyBackup } from './backup.ts';
import type { Config } from './config.ts';
import { CREDENTIALS_FILE, ensureDataDir, KEYS_FILE, loadHouseKeys } from './credentials.ts';
import { type Manifest, readManifest, syncDirectory } from './manifest.ts';
import { embedded, openStore } from './registry.ts';

/** What a restore did. */
export interface RestoreReport {
  readonly data_dir: string;
  readonly from: string;
  readonly taken_at: string;
  readonly tasks: number;
  readonly active_tasks: number;
  /** Tasks that agents held at the time of the backup and that wait in their queues now. */
  readonly requeued_tasks: number;
  readonly deliveries_pending: number;
  readonly missing_blobs: number;
  /** Where the data are that were there before. */
  readonly replaced?: string;
}

/** What makes up a data directory, the database last: with it in place the rest is. */
const ENTRIES = [
  KEYS_FILE,
  CREDENTIALS_FILE,
  SETTINGS_FILE,
  'blobs',
  'work',
  `${embedded.file}-wal`,
  `${embedded.file}-shm`,
  embedded.file,
];
const TASKS_AT_ONCE = 500;

interface World {
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Puts a backup in place (`SAM-221`). Throws `unavailable` for a damaged or newer backup and while a server is in the data directory,
 * `conflict` where there are data already, unless forced: then they are moved aside.
 */
export async function restoreBackup(
  config: Config,
  options: { readonly from: string; readonly force: boolean },
  world: World = { clock: systemClock, random: systemRandom },
): Promise<RestoreReport> {
  refuseSharedStore(config, 'psql or pg_restore restores a PostgreSQL database');
  const [from, dataDir] = [resolve(options.from), resolve(config.dataDir)];
  const backup = await verifyBackup(from);
  const manifest = await readManifest(from);
  ensureDataDir(dataDir);
  const unlock = embedded.lock(dataDir);
  try {
    const inTheWay = ENTRIES.filter(entry => existsSync(join(dataDir, entry)));
    if (inTheWay.length > 0 && !options.force)
      throw new DomainError('conflict', `there are data in ${dataDir} already`, {
        details: { hint: 'restore into an empty directory, or with --force to move them aside' },
      });
    return await told(`the restore into ${dataDir} failed`, async () => {
      const staged = await mkdtemp(join(dataDir, 'restoring-'));
      try {
        await fetchFiles(manifest, from, staged);
        const requeued = await wake(world, { ...config, dataDir: staged }, manifest);
        const replaced = await exchange(world.clock, { dataDir, staged, inTheWay });
        const { taken_at, tasks, active_tasks, deliveries_pending, missing_blobs } = backup;
        return {
          ...{ data_dir: dataDir, from, taken_at, tasks, active_tasks },
          ...{ requeued_tasks: requeued, deliveries_pending, missing_blobs },
          ...(replaced === null ? {} : { replaced }),
        };
      } finally {
        await rm(staged, { recursive: true, force: true });
      }
    });
  } finally {
    unlock();
  }
}

/** Copies the files of a backup, each held against its sum once more. */
async function fetchFiles(manifest: Manifest, from: string, to: string): Promise<void> {
  for (const { path, sha256 } of manifest.files) {
    const copied = await copyFile(join(from, path), join(to, path));
    if (copied.sha256 !== sha256)
      throw new DomainError('unavailable', `${path} changed while it was being restored`);
  }
}

/** Makes the staged data fit to be served, and ends every attempt they knew of; answers how many. */
async function wake(
  { clock, random }: World,
  staged: Config,
  { taken_at: takenAt }: Manifest,
): Promise<number> {
  const sleptMs = Math.max(0, clock.now() - Date.parse(takenAt));
  embedded.wake(join(staged.dataDir, embedded.file), sleptMs);
  const store = await openStore(staged, loadHouseKeys(staged, random).auditKey);
  try {
    const tools: ChangeTools = {
      newDeliveryId: () => random.uuid() as DeliveryId,
      now: clock.now(),
      archiveDelayMs: staged.archiveDelayMs,
    };
    const leases = await store.leases({});
    for (let at = 0; at < leases.length; at += TASKS_AT_ONCE)
      await voidLeases(store, leases.slice(at, at + TASKS_AT_ONCE), tools);
    const detail = { taken_at: takenAt, requeued_tasks: leases.length };
    await store.appendAudit([
      { tenant: DEFAULT_TENANT, action: 'backup.restored', principal: 'system', detail },
    ]);
    return leases.length;
  } finally {
    await store.stop();
    rmSync(join(staged.dataDir, `${embedded.file}.lock`), { force: true });
  }
}

/** Takes tasks back to their queues, blaming no agent and no task; their tokens lead nothing any more. */
async function voidLeases(store: Store, leases: readonly LeaseRow[], tools: ChangeTools): Promise<void> {
  const tasks = await store.read(leases.map(({ tenant, taskId: id }) => ({ tenant, id })));
  const outcomes = await store.commit(
    tasks.map((task, at): TaskChange => {
      const lease = leases[at];
      if (task === null || lease === undefined) throw new Error('a lease without its task');
      return { key: task.key, guard: { by: 'lease', token: lease.token }, ...backInLine(task, tools) };
    }),
  );
  if (outcomes.some(({ status }) => status !== 'done')) throw new Error('a lease changed in a staged store');
}

function backInLine(task: Task, tools: ChangeTools): ReturnType<typeof requeue> {
  const reason = 'restored from a backup';
  const error = {
    code: 'unavailable',
    message: `the attempt was lost: ${reason}`,
    recoverable: true,
  } as const;
  return requeue(task, { actor: 'system', reason, error, delayMs: 0, lostAgent: null }, tools);
}

/** Moves what was there aside and what was staged in; answers where the old data are. */
async function exchange(
  clock: Clock,
  places: { readonly dataDir: string; readonly staged: string; readonly inTheWay: readonly string[] },
): Promise<string | null> {
  const { dataDir, staged, inTheWay } = places;
  const instant = new Date(clock.now()).toISOString().replaceAll(':', '-');
  const aside = join(dataDir, `replaced-${instant}`);
  if (inTheWay.length > 0) await mkdir(aside, { mode: 0o700 });
  for (const entry of inTheWay) await rename(join(dataDir, entry), join(aside, entry));
  for (const entry of ENTRIES)
    if (existsSync(join(staged, entry))) await rename(join(staged, entry), join(dataDir, entry));
  if (inTheWay.length > 0) await syncDirectory(aside);
  await syncDirectory(dataDir);
  await syncDirectory(dirname(dataDir));
  return inTheWay.length === 0 ? null : aside;
}
