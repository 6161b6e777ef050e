// How a QuickJS host process is started: the flags that bound it, and the few files it may read. The same script serves as .ts in
// the sources and as .js once built.

import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Confined, streamsOf } from '../sandbox/confinement.ts';
import { onlyDescriptors } from '../sandbox/descriptors.ts';

/** A command that runs the host, and what it reads. */
export interface HostCommand {
  readonly command: readonly string[];
  readonly reads: readonly string[];
}

const WASM_PAGES_PER_MB = 16;
/** QuickJS's own memory in the WebAssembly memory, beyond what it grants the program. */
const ENGINE_MB = 32;
/** The most a 32-bit memory of this build can grow to. */
const WASM_MB_MAX = 2_048;
/** Deep recursion must end in QuickJS's own error, not in that of the engine beneath; the system's stack is 8 MB. */
const STACK_KB = 3_000;
const HEAP_MB = 512;

/** The most memory a JavaScript program can be given. */
export const WASM_PROGRAM_MB_MAX = WASM_MB_MAX - ENGINE_MB;

/** The command of a host whose programs hold at most so much memory, and which sees the files of this machine below `root`. */
export function hostCommand(memoryMb: number, root = ''): HostCommand {
  const extension = extname(fileURLToPath(import.meta.url));
  const here = dirname(fileURLToPath(import.meta.url));
  const script = join(here, `host${extension}`);
  const source = dirname(dirname(dirname(here)));
  const core = packagePaths('quickjs-emscripten-core', here);
  const variant = packagePaths('@jitl/quickjs-wasmfile-release-sync', here);
  const types = [...core, ...variant].flatMap(path => packagePaths('@jitl/quickjs-ffi-types', path));
  const modules = [join(source, 'runtime', `clock${extension}`), join(dirname(source), 'package.json')];
  const reads = [...new Set([here, ...modules, ...core, ...variant, ...types])];
  const pages = (Math.min(memoryMb, WASM_PROGRAM_MB_MAX) + ENGINE_MB) * WASM_PAGES_PER_MB;
  return {
    command: [
      `${root}${process.execPath}`,
      `--wasm-max-mem-pages=${Math.ceil(pages)}`,
      `--stack-size=${STACK_KB}`,
      `--max-old-space-size=${HEAP_MB}`,
      // A second fence: a program that broke out of WebAssembly finds no files, network, processes or threads.
      '--permission',
      ...reads.map(path => `--allow-fs-read=${root}${path}`),
      '--no-warnings',
      `${root}${script}`,
    ],
    reads: [process.execPath, ...reads].filter(path => existsSync(path)),
  };
}

/** Starts a host as a child process with an empty environment. */
export function spawnHost(memoryMb: number): Confined {
  const [node = process.execPath, ...args] = hostCommand(memoryMb).command;
  const child = spawn(node, args, { cwd: '/', env: {}, stdio: onlyDescriptors(['pipe', 'pipe', 'pipe']) });
  const ended = new Promise<{ exitCode: number | null }>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', exitCode => resolve({ exitCode }));
  });
  ended.catch(() => {});
  return {
    ...streamsOf(child),
    ended,
    pids: () => (child.pid === undefined || child.exitCode !== null ? [] : [child.pid]),
    ranOutOfMemory: () => false,
    terminate: () => void child.kill('SIGKILL'),
    kill: () => void child.kill('SIGKILL'),
  };
}

/** Where a package is found from a directory, as written and, where package managers link, as it really is. */
function packagePaths(name: string, from: string): string[] {
  const path = join(from, 'node_modules', name);
  if (existsSync(path)) return [path, realpathSync(path)];
  if (dirname(from) === from) throw new Error(`the package ${name} is not installed`);
  return packagePaths(name, dirname(from));
}
