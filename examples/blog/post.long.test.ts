import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileFor, played } from '../played.ts';

test('a post is planned, written, refused before it is approved, approved and published', async t => {
  const out = fileFor(t, 'post.md');
  const said = await played(t, ['blog', '--topic', 'Lighthouses', '--out', out]);

  const steps = [
    /^planner: generate_content, analyze_seo, moderate_content$/,
    /^coder: generate_content wrote \d+ words$/,
    /^coder: analyze_seo gave \d+ of 100$/,
    /^coder: moderate_content found nothing to object to$/,
    /^executor: not yet: /,
    /^reviewer: approved with \d+ of 100$/,
    /^executor: published ".*Lighthouses/,
  ];
  const lines = said.trimEnd().split('\n');
  assert.equal(lines.length, steps.length, said);
  for (const [index, step] of steps.entries()) assert.match(lines[index] ?? '', step);
  assert.match(readFileSync(out, 'utf8'), /^# .*Lighthouses[\s\S]{500}/);
});
