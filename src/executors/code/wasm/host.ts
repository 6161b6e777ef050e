// The QuickJS host process: reads programs from standard input, runs them one at a time in WebAssembly, writes what they do to
// standard output. Deliberately synchronous: while a program waits for an answer the process waits on the pipe, so no program can
// outlive its turn here. It imports only what the permission flags of its command line let it read.

import { readFileSync, readSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import {
  newQuickJSWASMModuleFromVariant,
  newVariant,
  type QuickJSSyncVariant,
  type QuickJSWASMModule,
} from 'quickjs-emscripten-core';
import { frameStart, type Pipe, PREFIX_BYTES, type WasmJob, type WasmReply } from './frames.ts';
import { Program } from './program.ts';

/** Above this an instance is not used again: WebAssembly memory never shrinks. */
const KEPT_BYTES_MAX = 48 << 20;

const pipe: Pipe = {
  send(head, tail) {
    writeWhole(frameStart(head, tail?.length ?? 0));
    if (tail !== undefined && tail.length > 0) writeWhole(tail);
  },
  receive() {
    const prefix = readExactly(PREFIX_BYTES);
    const head = readExactly(prefix.readUInt32LE(0));
    const tail = readExactly(prefix.readUInt32LE(4));
    return { head: JSON.parse(head.toString()) as WasmJob | WasmReply, tail };
  },
};

function writeWhole(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}

function readExactly(count: number): Buffer {
  const bytes = Buffer.allocUnsafe(count);
  for (let at = 0; at < count; ) {
    const read = readSync(0, bytes, at, count - at, null);
    if (read === 0) process.exit(0);
    at += read;
  }
  return bytes;
}

async function serve(): Promise<never> {
  const require = createRequire(import.meta.url);
  // The package's types describe its CommonJS form only.
  const { default: variant } = require('@jitl/quickjs-wasmfile-release-sync') as {
    default: QuickJSSyncVariant;
  };
  const wasm = require.resolve('@jitl/quickjs-wasmfile-release-sync/wasm');
  const compiled = newVariant(variant, { wasmModule: new WebAssembly.Module(readFileSync(wasm)) });
  const fresh = (): Promise<QuickJSWASMModule> => newQuickJSWASMModuleFromVariant(compiled);
  let module = await fresh();
  let owner: string | null = null;
  pipe.send({ kind: 'ready' });
  for (;;) {
    const { head } = pipe.receive();
    // A late answer to something the last program asked and did not wait for.
    if (head.kind === 'reply') continue;
    if (owner !== null && owner !== head.owner) module = await fresh();
    owner = head.owner;
    const program = new Program(module, head, pipe);
    const done = program.run();
    pipe.send(done);
    if (done.failure !== undefined) process.exit(0);
    program.dispose();
    if (module.getWasmMemory().buffer.byteLength > KEPT_BYTES_MAX) module = await fresh();
  }
}

await serve();
