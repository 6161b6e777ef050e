// Inputs that are read by checkpoint, against a far end that has any number of chunks.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatutaClient } from './client.ts';
import type { InputOptions } from './step-input.ts';
import { StepPipes } from './step-pipes.ts';

/** A step that has read nothing, and what it asks of its server. */
function setup(saved: Readonly<Record<string, number>> = {}) {
  const asked: string[] = [];
  const client = new BatutaClient({
    url: 'http://far.end',
    async fetch(url, { body }) {
      asked.push(`${url.pathname.replace('/api/v2/work/inputs/', '')} ${body ?? ''}`.trim());
      if (url.pathname.endsWith('/open'))
        return Response.json({ acknowledged: saved.rows ?? 0, state: null });
      if (url.pathname.endsWith('/acknowledge')) return new Response(null, { status: 204 });
      return new Response('{"n":1}\n');
    },
  });
  const lease = { task_id: 't', fencing_token: 7 };
  const pipes = new StepPipes(client.pipes, lease, client.clock, new AbortController().signal, saved);
  return {
    pipes,
    asked,
    rows: (options: InputOptions = { by: 'checkpoint' }) => pipes.input('rows', options),
  };
}

test('SAM-229 a checkpoint includes what was acknowledged, and nobody is told of that by anything else', async () => {
  const { pipes, asked, rows } = setup({ rows: 4 });
  const input = rows();
  for await (const chunk of input) {
    if (chunk.number === 6) await input.acknowledge(chunk);
    if (chunk.number === 6) break;
  }
  assert.deepEqual(pipes.positions(), { rows: 6 });
  assert.deepEqual(asked, [
    'rows/open {"task_id":"t","fencing_token":7,"by":"checkpoint"}',
    'rows/chunks/5',
    'rows/chunks/6',
  ]);
});

test('SAM-229 a checkpoint made with a chunk at hand is refused, for nobody could tell whether it includes it', async () => {
  const { pipes, rows } = setup();
  const input = rows();
  for await (const chunk of input) {
    assert.throws(() => pipes.positions(), /chunk 1 of rows .* acknowledge it before/);
    await input.acknowledge(chunk);
    assert.deepEqual(pipes.positions(), { rows: 1 });
    await assert.rejects(input.acknowledge({ ...chunk, number: 2 }, { a: 'state' }), /context\.checkpoint/);
    break;
  }
});

test('SAM-229 a checkpoint made before an input was opened leaves it where it was, and one of a step without such inputs says nothing', async () => {
  assert.deepEqual(setup({ rows: 4 }).pipes.positions(), { rows: 4 });
  const { pipes, rows, asked } = setup();
  for await (const chunk of rows({})) if (chunk.number === 2) break;
  assert.equal(pipes.positions(), undefined);
  assert.ok(asked.includes('rows/acknowledge {"task_id":"t","fencing_token":7,"up_to":1}'));
});

test('SAM-230 a step that reads 1,000 chunks without a checkpoint is stopped, before it waits for a writer that waits for it', async () => {
  const { pipes, rows } = setup();
  const readTo = async (last: number): Promise<void> => {
    for await (const { number } of rows()) if (number === last) break;
  };
  await readTo(999);
  const input = rows();
  await input.acknowledge({ number: 999, key: '', bytes: new Uint8Array(), records: () => [] });
  assert.deepEqual(pipes.positions(), { rows: 999 });
  await readTo(1_999);
  await assert.rejects(readTo(2_001), /1000 chunks of 8000 bytes came since the last one/);
});
