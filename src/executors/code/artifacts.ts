// Files a program left in its output directory become artifacts. The program is over by then, but it chose every name, kind and
// permission of what is there: nothing is followed, and nothing but plain files is read.

import { constants, type Dirent } from 'node:fs';
import { chmod, type FileHandle, open, readdir, rm } from 'node:fs/promises';
import { extname, join } from 'node:path';
import type { Artifact } from '../../domain/artifact.ts';
import type { AttemptContext, NewArtifact } from '../../engine/ports/executor.ts';
import { LimitExceeded } from './limits.ts';
import { isPlainPath } from './wasm/names.ts';

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.csv': 'text/csv',
  '.gif': 'image/gif',
  '.html': 'text/html',
  '.jpeg': 'image/jpeg',
  '.jpg': 'image/jpeg',
  '.json': 'application/json',
  '.log': 'text/plain',
  '.md': 'text/markdown',
  '.ndjson': 'application/x-ndjson',
  '.parquet': 'application/vnd.apache.parquet',
  '.pdf': 'application/pdf',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain',
  '.webp': 'image/webp',
  '.xml': 'application/xml',
  '.zip': 'application/zip',
};

/** Saves the files below a directory, under their relative paths; throws `LimitExceeded` before saving any if there are too many. */
export async function saveOutputs(
  context: AttemptContext,
  directory: string,
  filesMax: number,
): Promise<Artifact[]> {
  const names: string[] = [];
  for await (const name of plainFiles(directory, '')) {
    if (!isPlainPath(name)) {
      context.log('WARN', 'an output file was left out: its name is not a plain relative path', { name });
      continue;
    }
    if (names.push(name) > filesMax) throw new LimitExceeded('output_files', filesMax);
  }
  const saved: Artifact[] = [];
  for (const name of names.sort()) {
    context.signal.throwIfAborted();
    const handle = await openPlain(join(directory, name));
    if (handle === null) continue;
    saved.push(await context.saveArtifact(described(name, handle, context.signal)));
  }
  return saved;
}

/** Removes a directory with all that is in it, whatever permissions a program gave them; harmless if there is none. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch {
    await unlock(path);
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function* plainFiles(directory: string, prefix: string): AsyncGenerator<string> {
  for (const entry of await entriesOf(directory)) {
    const name = `${prefix}${entry.name}`;
    if (entry.isFile()) yield name;
    else if (entry.isDirectory()) yield* plainFiles(join(directory, entry.name), `${name}/`);
  }
}

async function entriesOf(directory: string): Promise<Dirent[]> {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    await chmod(directory, 0o700);
    return await readdir(directory, { withFileTypes: true });
  }
}

async function openPlain(path: string): Promise<FileHandle | null> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const handle = await open(path, flags).catch(async () => {
    await chmod(path, 0o600);
    return await open(path, flags);
  });
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  return null;
}

function described(name: string, handle: FileHandle, signal: AbortSignal): NewArtifact {
  const mediaType = MEDIA_TYPES[extname(name).toLowerCase()] ?? 'application/octet-stream';
  return { name, type: typeOf(name, mediaType), mediaType, source: handle.createReadStream({ signal }) };
}

function typeOf(name: string, mediaType: string): string {
  if (mediaType.startsWith('image/')) return 'image';
  if (name.endsWith('.log')) return 'log';
  if (mediaType === 'application/pdf' || mediaType === 'text/html') return 'report';
  return mediaType === 'application/octet-stream' ? 'binary' : 'data_file';
}

async function unlock(path: string): Promise<void> {
  await chmod(path, 0o700).catch(() => {});
  for (const entry of await readdir(path, { withFileTypes: true }).catch(() => []))
    if (entry.isDirectory()) await unlock(join(path, entry.name));
}
