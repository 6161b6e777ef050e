import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileFor, played } from '../played.ts';

test('what the editor rejected is written again, and only what the editor approved is published', async t => {
  const out = fileFor(t, 'release.html');

  const said = await played(t, ['press-release', '--out', out]);

  const turns = said.split('\n').filter(line => line.startsWith('editor: '));
  assert.deepEqual(turns, ['editor: rejected. Say what it costs.', 'editor: approved']);
  const text =
    'Today we present the Aurora reading lamp. It lights what matters, and is available from 1 March. It costs € 79.';
  assert.ok(said.endsWith(`published:\n  ${text}\n`), said);
  const page = readFileSync(out, 'utf8');
  assert.ok(page.includes('<h1>the Aurora reading lamp</h1>') && page.includes(`<p>${text}</p>`), page);
});
