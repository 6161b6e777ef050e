// A log goes through three workers (step.ts): one reads it, one lets through what failed, one adds that up. The process of the last two is killed
// in the middle; the first goes on until the pipe is full, and waits. Another process takes over, and the sums are those of a plain loop: else
// this exits with 1.
//
//   npm run example -- pipeline [--mebibytes 88]

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { Orchestrator, type PipeView } from '../../src/sdk/index.ts';
import { connect } from '../connect.ts';
import { type Total, writeLog } from './log.ts';

const WORKFLOW = new URL('workflow.json', import.meta.url);
const STEP = fileURLToPath(new URL('step.ts', import.meta.url));
const LOOK_MS = 100;
/** What the process that is killed says in its last moment. */
const LAST_WORDS = 'filter has chunk 4';

const { values } = parseArgs({ options: { mebibytes: { type: 'string', default: '88' } } });
const client = connect();
await using resources = new AsyncDisposableStack();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => void resources.disposeAsync().finally(() => process.kill(process.pid, signal)));
const begun = performance.now();

const [reader, first] = [hire('one', 'read'), hire('two', 'filter', 'sum')];
const folder = mkdtempSync(join(tmpdir(), 'batuta-log-'));
resources.defer(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, 'access.log');
const { lines, totals } = writeLog(path, Number(values.mebibytes) * 1_024 ** 2);
console.log(`a log of ${values.mebibytes} MiB, ${lines} lines`);
await Promise.all([reader, first].map(one => one.said('ready')));

const orchestrator = new Orchestrator({ client, agentId: 'night-shift' });
const { task_id: id } = await orchestrator.submit({
  type: 'workflow_orchestration',
  description: 'Add up what failed today',
  data: { ...JSON.parse(readFileSync(WORKFLOW, 'utf8')), input: { path } },
});
await first.said(LAST_WORDS);
await first.kill();
console.log(`two was killed; its last words: ${LAST_WORDS}`);
const full = await pipeOnce('read.lines', ({ state }) => state !== 'open');
const waiting = sizeOf(full.readers[0]?.behind_bytes);
console.log(
  full.state === 'waiting_downstream'
    ? `${full.pipe} is full: ${waiting} wait for a filter, and the reader waits`
    : `${full.pipe} has ended, and ${waiting} wait for a filter`,
);
const second = hire('three', 'filter', 'sum');
// Which of the two comes first is open.
for (let at = 0; at < 2; at++) console.log(`three: ${await second.said('begins')}`);

const { output } = await orchestrator.wait(id);
const { pipes = [] } = await client.workflows.run(id);
console.table(pipes.map(({ pipe, state, chunks, bytes }) => ({ pipe, state, chunks, size: sizeOf(bytes) })));
const { result } = output as unknown as { readonly result: Readonly<Record<string, Total>> };
console.table(Object.entries(result).map(([asked, { count, ms }]) => ({ path: asked, failures: count, ms })));
const isRight = isDeepStrictEqual(result, totals);
const seconds = ((performance.now() - begun) / 1_000).toFixed(1);
console.log(`${isRight ? 'nothing lost, nothing twice' : 'this is not what the log says'}; ${seconds} s`);
if (!isRight) process.exitCode = 1;

/** Starts a process of workers, which ends with this one. */
function hire(name: string, ...roles: readonly string[]) {
  const child = spawn(process.execPath, [STEP, name, ...roles], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await exited;
  };
  resources.defer(() => end('SIGTERM'));
  return {
    kill: () => end('SIGKILL'),
    /** The next line with these words in it. */
    async said(words: string): Promise<string> {
      for (;;) {
        const { value, done } = await lines.next();
        if (done === true) throw new Error(`${name} ended before it said "${words}"`);
        if (value.includes(words)) return value;
      }
    },
  };
}

/** The pipe of that name once it is so. */
async function pipeOnce(name: string, isSo: (pipe: PipeView) => boolean): Promise<PipeView> {
  for (;;) {
    const { pipes = [] } = await client.workflows.run(id);
    const found = pipes.find(({ pipe }) => pipe === name);
    if (found !== undefined && isSo(found)) return found;
    await pause(LOOK_MS);
  }
}

function sizeOf(bytes = 0): string {
  return `${(bytes / 1_024 ** 2).toFixed(1)} MiB`;
}
