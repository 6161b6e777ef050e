// What agents inside this server do with one message is bounded by what one message may hold, far below what an agent may take.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { DEFAULT_GUARDRAILS } from '../../src/domain/guardrails.ts';
import { WORKS } from './bounded-agent.ts';

const YOUNG_MB = 16;

/** How the work ends in a thread that is stopped where it takes more than an agent may, its program included. */
function endOf(work: string): Promise<string> {
  const resourceLimits = {
    maxYoungGenerationSizeMb: YOUNG_MB,
    maxOldGenerationSizeMb: DEFAULT_GUARDRAILS.agentMemoryMbMax - YOUNG_MB,
  };
  const file = new URL('./bounded-agent.ts', import.meta.url);
  const thread = new Worker(file, { workerData: { bounded: work }, resourceLimits });
  return new Promise(resolve => {
    thread.once('message', resolve);
    thread.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? String(error)));
  });
}

test('ARMY-72 the built-in validator and memory stay within the 100 MB of an agent with the largest and worst message, where one that held on to more would be stopped', async () => {
  const ends: [string, string][] = [];
  for (const work of WORKS) ends.push([work, await endOf(work)]);
  const held = 'holding on to everything';
  assert.deepEqual(
    ends,
    WORKS.map(work => [work, work === held ? 'ERR_WORKER_OUT_OF_MEMORY' : 'done']),
  );
});
