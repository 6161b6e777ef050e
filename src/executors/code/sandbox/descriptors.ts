// Keeps descriptors the server itself was started with from reaching programs: what a shell or supervisor left open would be a way
// out of any sandbox. Node closes only its own.

import { openSync, readdirSync, readFileSync } from 'node:fs';

const O_CLOEXEC = 0o2000000;

let inherited: readonly number[] | null = null;
let nowhere = -1;

/** The `stdio` of a child that gets these, and /dev/null in place of whatever else it would inherit. */
export function onlyDescriptors(wanted: readonly ('pipe' | 'ignore')[]): ('pipe' | 'ignore' | number)[] {
  inherited ??= inheritedDescriptors();
  const stdio: ('pipe' | 'ignore' | number)[] = [...wanted];
  for (const descriptor of inherited) {
    while (stdio.length <= descriptor) stdio.push('ignore');
    if (stdio[descriptor] === 'ignore') stdio[descriptor] = nowhere;
  }
  return stdio;
}

function inheritedDescriptors(): number[] {
  if (process.platform !== 'linux') return [];
  const found = readdirSync('/proc/self/fdinfo')
    .map(Number)
    .filter(descriptor => descriptor > 2 && !closesOnExec(descriptor));
  if (found.length > 0) nowhere = openSync('/dev/null', 'r+');
  return found;
}

function closesOnExec(descriptor: number): boolean {
  try {
    const flags = /^flags:\s+([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8'))?.[1];
    return (Number.parseInt(flags ?? '0', 8) & O_CLOEXEC) !== 0;
  } catch {
    return true;
  }
}
