// Where browsers may keep their files: a browser with a user of its own must be able to pass through every directory above them, and
// a root's private TMPDIR lets nobody through.

import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';

const SYSTEM_ROOTS = ['/tmp', '/var/tmp'];

/** The directory of temporary files, or one of the system's own where other users must pass through and cannot; null where there is none. */
export async function findRoot(
  isForOthers: boolean,
  candidates: readonly string[] = [tmpdir(), ...SYSTEM_ROOTS],
): Promise<string | null> {
  for (const root of candidates)
    if ((await isWritable(root)) && (!isForOthers || (await isPassable(root)))) return root;
  return null;
}

async function isWritable(path: string): Promise<boolean> {
  return await access(path, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function isPassable(path: string): Promise<boolean> {
  const { mode } = await stat(path);
  if ((mode & constants.S_IXOTH) === 0) return false;
  return path === dirname(path) || (await isPassable(dirname(path)));
}
