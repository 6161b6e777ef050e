// Where the demo is and how it is played: in a process of its own, from the examples beside the sources.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../../examples/demo/demo.ts', import.meta.url));

/** Whether the examples are here: a built package goes without them. */
export function hasDemo(): boolean {
  return import.meta.url.endsWith('.ts') && existsSync(SCRIPT);
}

/** Plays the demo on this terminal and answers its exit code. */
export async function playDemo({ json }: { readonly json: boolean }): Promise<number> {
  const child = spawn(process.execPath, [SCRIPT, ...(json ? ['--json'] : [])], { stdio: 'inherit' });
  const onTerm = (): void => void child.kill('SIGTERM');
  process.on('SIGTERM', onTerm);
  const [code] = await once(child, 'exit');
  process.off('SIGTERM', onTerm);
  return code ?? 1;
}
