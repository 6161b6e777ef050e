import assert from 'node:assert/strict';
import { test } from 'node:test';
import { moderationStep, qualityStep, schemaStep, seoStep } from './steps.ts';

const POST = { title: 'The tide', content: 'The sea rises and falls twice a day.', tags: ['sea'] };

test('BLOG-50 content has a title of 1–200 characters, text and tags that are strings; failing scores 0, passing 100', () => {
  assert.deepEqual(schemaStep({ ...POST, more: 1 }), {
    passed: true,
    score: 100,
    issues: [],
    suggestions: [],
  });
  assert.equal(schemaStep({ ...POST, title: 'x'.repeat(200) }).passed, true);
  const wrong = [
    { ...POST, title: '' },
    { ...POST, title: 'x'.repeat(201) },
    { ...POST, content: '' },
    { ...POST, content: 7 },
    { ...POST, tags: [1] },
    { title: 'a', content: 'b' },
    'text',
  ];
  for (const content of wrong) {
    const { passed, score, issues } = schemaStep(content);
    assert.deepEqual(
      [passed, score, issues[0]?.severity, issues[0]?.code],
      [false, 0, 'error', 'SCHEMA_INVALID'],
    );
  }
});

test('BLOG-51 flagged content scores 0 with an error, clean content 100', () => {
  assert.deepEqual(moderationStep(POST), { passed: true, score: 100, issues: [], suggestions: [] });
  const { passed, score, issues } = moderationStep({
    ...POST,
    content: 'You fucking idiot, I will kill you',
  });
  assert.deepEqual(
    [passed, score, issues[0]?.severity, issues[0]?.code],
    [false, 0, 'error', 'CONTENT_FLAGGED'],
  );
});

test('BLOG-52 SEO passes from 60, warns below, and suggests more below 80', () => {
  assert.deepEqual(seoStep(80), { passed: true, score: 80, issues: [], suggestions: [] });
  const fair = seoStep(60);
  assert.deepEqual([fair.passed, fair.issues.length, fair.suggestions.length], [true, 0, 3]);
  const low = seoStep(59);
  assert.equal(low.passed, false);
  assert.deepEqual([low.issues[0]?.severity, low.issues[0]?.code], ['warning', 'LOW_SEO_SCORE']);
  assert.match(low.issues[0]?.message ?? '', /59 of 100/);
  assert.match(low.issues[0]?.suggestion ?? '', /title.*meta description.*keywords/);
  assert.match(low.suggestions.join(' '), /keywords.*read.*internal links/);
});

test('BLOG-53 quality passes from 70; failing is an error with one suggestion a weak point, personal data among them', () => {
  const lines = Array.from(
    { length: 40 },
    (_, n) =>
      `## Day ${n}\n\nOn day ${n} the boat went to island ${n * 7}. It came back with ${n * 3} fish for us.`,
  );
  const good = qualityStep({ content: lines.join('\n\n') });
  assert.equal(good.passed, true, JSON.stringify(good));
  assert.deepEqual(good.issues, []);
  const bad = qualityStep({ content: `${'Buy it now from ann@example.com today. '.repeat(8)}` });
  assert.equal(bad.passed, false);
  assert.ok((bad.score ?? 100) < 70);
  assert.deepEqual([bad.issues[0]?.severity, bad.issues[0]?.code], ['error', 'LOW_QUALITY_SCORE']);
  assert.ok(bad.suggestions.length >= 3, bad.suggestions.join());
  assert.ok(bad.suggestions.some(one => /identifies/.test(one)));
  assert.equal(new Set(bad.suggestions).size, bad.suggestions.length);
});
