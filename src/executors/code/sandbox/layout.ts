// The directories of one attempt on the host: made before the program begins, owned by whoever it runs as, removed when it is over.

import { chmod, chown, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Json } from '../../../domain/json.ts';
import { removeTree } from '../artifacts.ts';
import type { Layout } from './confinement.ts';

/** What a program is given beside its granted files. */
export interface Given {
  readonly files: Readonly<Record<string, string>>;
  readonly inputs: Json;
  readonly checkpoint: Json;
}

/** Accounts a sandboxed program can look up: its own. */
const ACCOUNTS = { passwd: ':x:0:0::/:/usr/sbin/nologin', group: ':x:0:' };

/** Makes the directories; `uid` is the program's user where the server is root and gives it one of its own. */
export async function layOut(workspace: string, given: Given, uid: number | null): Promise<Layout> {
  const layout: Layout = {
    work: join(workspace, 'work'),
    input: join(workspace, 'input'),
    output: join(workspace, 'output'),
    given: join(workspace, 'given'),
  };
  await Promise.all(Object.values(layout).map(path => mkdir(path, { mode: 0o700 })));
  const checkpoint = given.checkpoint === null ? {} : { 'checkpoint.json': JSON.stringify(given.checkpoint) };
  const user = uid ?? 1_000;
  const files = {
    'inputs.json': JSON.stringify(given.inputs),
    ...checkpoint,
    passwd: `root${ACCOUNTS.passwd}\ntask:x:${user}:${user}::/work:/bin/sh\n`,
    group: `root${ACCOUNTS.group}\ntask:x:${user}:\n`,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(layout.given, name), text);
  for (const [name, text] of Object.entries(given.files)) {
    const path = join(layout.work, name);
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await writeFile(path, text);
  }
  if (uid !== null) await hand(layout, workspace, Object.keys(given.files), uid);
  return layout;
}

/** Stores a granted file; programs may run it, none may change it. Rejects as soon as the signal aborts. */
export async function placeInput(
  layout: Layout,
  file: { readonly name: string; readonly stream: Readable },
  signal: AbortSignal,
): Promise<void> {
  const path = join(layout.input, file.name);
  await writeFile(path, file.stream, { flag: 'wx', signal });
  await chmod(path, 0o555);
}

/** Removes everything `layOut` made and the program added. */
export async function clearLayout(layout: Layout): Promise<void> {
  await Promise.all(Object.values(layout).map(removeTree));
}

/** Gives the program its own directories, lets it read the others, and pass through the one they are in. */
async function hand(layout: Layout, workspace: string, files: readonly string[], uid: number): Promise<void> {
  const owned = new Set([layout.work, layout.output]);
  for (const name of files) {
    for (let path = join(layout.work, name); path !== layout.work; path = dirname(path)) owned.add(path);
  }
  for (const path of owned) await chown(path, uid, uid);
  for (const path of [layout.input, layout.given]) {
    await chown(path, 0, uid);
    await chmod(path, 0o750);
  }
  await chmod(workspace, 0o711);
}
