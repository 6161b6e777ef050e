// What a backup says of itself: the files it is made of with their sums, what its database holds, and of which instant it is. The
// manifest is written last, so a directory that has one had all its files.

import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Type, { type Static } from 'typebox';
import { Value } from 'typebox/value';
import { DomainError } from '../domain/errors.ts';
import { KEYS_FILE } from './credentials.ts';
import { embedded } from './registry.ts';
import { VERSION } from './version.ts';

const MANIFEST_FILE = 'manifest.json';
const FORMAT = 1;

const digest = Type.String({ pattern: '^[0-9a-f]{64}$' });
const count = Type.Integer({ minimum: 0 });

const MANIFEST = Type.Object({
  format: Type.Integer(),
  batuta_version: Type.String(),
  schema_version: count,
  taken_at: Type.String(),
  tasks: count,
  active_tasks: count,
  running_tasks: count,
  events: count,
  artifacts: count,
  deliveries_pending: count,
  /** Artifacts whose bytes were gone or damaged in the data directory itself. */
  missing_blobs: Type.Array(digest),
  files: Type.Array(
    Type.Object({
      path: Type.String({
        pattern: '^(batuta\\.db|(house-keys|credentials|config)\\.json|blobs/[0-9a-f]{2}/[0-9a-f]{62})$',
      }),
      bytes: count,
      sha256: digest,
    }),
  ),
});

/** What a backup says of itself. */
export type Manifest = Static<typeof MANIFEST>;

/** A file of a backup: its path below it, its size and its SHA-256. */
export type BackupFile = Manifest['files'][number];

/** The manifest of a backup; throws `not_found` where there is none, `unavailable` where it makes no sense or is of a newer program. */
export async function readManifest(directory: string): Promise<Manifest> {
  const path = join(directory, MANIFEST_FILE);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new DomainError('not_found', `there is no whole backup in ${directory}`, {
      cause,
      details: {
        hint: 'name the directory that holds manifest.json; one that ends in .partial never became whole',
      },
    });
  }
  const manifest = parse(text);
  if (typeof manifest === 'object' && manifest !== null && 'format' in manifest) {
    const { format } = manifest;
    if (typeof format === 'number' && format > FORMAT)
      throw new DomainError(
        'unavailable',
        `the backup is of a newer program (format ${format}); use that one`,
      );
  }
  if (!Value.Check(MANIFEST, manifest)) throw damaged('its manifest makes no sense');
  const paths = manifest.files.map(file => file.path);
  for (const needed of [embedded.file, KEYS_FILE])
    if (!paths.includes(needed)) throw damaged(`${needed} is not in its manifest`);
  return manifest;
}

/** Writes the manifest of a directory whose other files are there. */
export async function writeManifest(
  directory: string,
  known: Pick<Manifest, 'taken_at'> & {
    readonly missing_blobs: readonly string[];
    readonly files: readonly BackupFile[];
  },
): Promise<void> {
  const database = join(directory, embedded.file);
  const manifest = {
    format: FORMAT,
    batuta_version: VERSION,
    schema_version: embedded.glance(database).schemaVersion,
    ...countsIn(database),
    ...known,
  };
  const path = join(directory, MANIFEST_FILE);
  await writeFile(path, `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600, flag: 'wx', flush: true });
  await syncDirectory(directory);
}

/** What a database holds, in the words of the manifest. */
export function countsIn(database: string) {
  const counts = embedded.count(database);
  return {
    tasks: counts.tasks,
    active_tasks: counts.active,
    running_tasks: counts.running,
    events: counts.events,
    artifacts: counts.artifacts,
    deliveries_pending: counts.deliveriesPending,
  };
}

/** Makes the names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw damaged('its manifest makes no sense', cause);
  }
}

/** The refusal of a backup that is not what it was. */
export function damaged(why: string, cause?: unknown): DomainError {
  return new DomainError('unavailable', `the backup is damaged: ${why}`, {
    cause,
    details: { hint: 'use another backup' },
  });
}
