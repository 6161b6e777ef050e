// The pipeline, step by step.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json, JsonObject } from '../../domain/json.ts';
import { composed } from './generating.ts';
import {
  endsRun,
  findingsOf,
  judgedElsewhere,
  type Step,
  seoResult,
  shown,
  stepsOf,
  taken,
  verdictOf,
} from './validating.ts';

const WRITTEN = composed({ topic: 'Electric cars', length: 'medium' }, []);
const GOOD: JsonObject = { title: WRITTEN.title, content: WRITTEN.content, tags: [...WRITTEN.tags] };
const NOTHING = { issues: [], score: 0, isFailed: false };

const step = (id: string, more: Partial<Step> = {}): Step => ({
  id,
  name: id,
  order: 1,
  required: true,
  status: 'pending',
  ...more,
});
const take = (id: string, content: Json) => taken(step(id), content, NOTHING, {});

async function run(content: Json, given?: readonly Partial<Step>[]): Promise<readonly Step[]> {
  const steps: Step[] = [];
  for (const one of stepsOf(given as unknown as Json))
    steps.push(
      steps.some(endsRun) ? { ...one, status: 'skipped' } : await taken(one, content, findingsOf(steps), {}),
    );
  return steps;
}

test('BLOG-48 without steps five are taken, of which only the third may fail', async () => {
  assert.deepEqual(
    stepsOf(undefined).map(({ id, order, required }) => [order, id, required]),
    [
      [1, 'schema-validation', true],
      [2, 'moderation', true],
      [3, 'seo-analysis', false],
      [4, 'quality-check', true],
      [5, 'final-approval', true],
    ],
  );
  const steps = await run(GOOD);
  assert.deepEqual(
    steps.map(({ status }) => status),
    ['passed', 'passed', 'passed', 'passed', 'passed'],
  );
  assert.equal(verdictOf(steps).approved, true);
});

test('BLOG-50 BLOG-47 the schema wants a title, a text and tags that are texts; fewer score 0 with SCHEMA_INVALID', async () => {
  assert.deepEqual((await take('schema-validation', { ...GOOD, more: 1 })).result, {
    passed: true,
    score: 100,
    issues: [],
  });
  for (const title of ['x', 'x'.repeat(200)])
    assert.equal((await take('schema-validation', { ...GOOD, title })).status, 'passed');
  const bad: readonly [Json, string][] = [
    [{ ...GOOD, title: '' }, 'title'],
    [{ ...GOOD, title: 'x'.repeat(201) }, 'title'],
    [{ ...GOOD, content: '' }, 'content'],
    [{ ...GOOD, tags: 'a' }, 'tags'],
    [{ ...GOOD, tags: [1] }, 'tags'],
    ['text', 'content'],
    [null, 'content'],
  ];
  for (const [content, field] of bad) {
    const { status, result } = await take('schema-validation', content);
    assert.deepEqual([status, result?.score], ['failed', 0]);
    assert.deepEqual(
      result?.issues.map(one => [one.severity, one.code, one.field]),
      [['error', 'SCHEMA_INVALID', field]],
    );
  }
});

test('BLOG-51 what moderation flags scores 0 with CONTENT_FLAGGED, by rules or by a model', async () => {
  assert.equal((await take('moderation', GOOD)).result?.score, 100);
  const flagged = await take('moderation', { ...GOOD, content: 'You are a fucking idiot, kill yourself' });
  assert.deepEqual(
    [flagged.status, flagged.result?.score, flagged.result?.issues[0]?.code],
    ['failed', 0, 'CONTENT_FLAGGED'],
  );
  const byModel = await taken(step('moderation'), GOOD, NOTHING, { moderates: async () => true });
  assert.equal(byModel.status, 'failed');
});

test('BLOG-52 SEO passes from 60, below it warns, below 80 it suggests', async () => {
  const poor = await take('seo-analysis', { title: 'My Blog Post', content: '...', tags: ['ai'] });
  assert.equal(poor.status, 'failed');
  assert.deepEqual(poor.result?.issues, [
    {
      ...{ severity: 'warning', code: 'LOW_SEO_SCORE', message: `SEO score is ${poor.result?.score}/100` },
      suggestion: 'Improve title, meta description, and keywords',
    },
  ]);
  assert.deepEqual(poor.result?.suggestions, [
    'Add more keywords',
    'Improve readability',
    'Add internal links',
  ]);
  assert.deepEqual(
    [59, 60, 79, 80].map(score => {
      const { passed, issues, suggestions } = seoResult(score);
      return [passed, issues.length, suggestions?.length];
    }),
    [
      [false, 1, 3],
      [true, 0, 3],
      [true, 0, 3],
      [true, 0, 0],
    ],
  );
  const good = await take('seo-analysis', GOOD);
  assert.deepEqual([good.status, good.result?.issues, good.result?.suggestions], ['passed', [], []]);
});

test('BLOG-53 quality weighs length, readability, structure, repetition and personal data, and passes from 70', async () => {
  assert.ok(((await take('quality-check', GOOD)).result?.score ?? 0) >= 85);
  const weak = await take('quality-check', { content: 'Short. Short. Short.' });
  assert.equal(weak.status, 'failed');
  assert.deepEqual(
    weak.result?.issues.map(one => one.code),
    ['LOW_QUALITY_SCORE'],
  );
  assert.ok(weak.result?.suggestions?.some(one => one.includes('150 words')));
  const scoreOf = async (content: string): Promise<number> =>
    (await take('quality-check', { content })).result?.score ?? 0;
  const told = await scoreOf(`${WRITTEN.content} Call ann@example.com or bob@example.com.`);
  assert.ok(told < (await scoreOf(WRITTEN.content)), 'personal data takes points');
  assert.ok((await scoreOf('word '.repeat(400))) < 70, 'repetition');
  const spanish = composed({ topic: 'El coche eléctrico', length: 'medium' }, []).content;
  assert.ok((await scoreOf(spanish)) >= 85);
});

test('BLOG-54 the last step passes by itself where there are no errors, its score the mean before it; a person’s word is the same', async () => {
  const before = await run(GOOD, [
    step('schema-validation'),
    step('seo-analysis', { order: 2, required: false }),
  ]);
  const { score } = findingsOf(before);
  const approved = await taken(step('final-approval'), GOOD, findingsOf(before), {});
  assert.deepEqual([approved.status, approved.result?.score], ['passed', Math.round(score * 100) / 100]);
  const errors = {
    issues: [{ severity: 'error', code: 'X', message: '' }],
    score: 50,
    isFailed: false,
  } as const;
  assert.equal((await taken(step('final-approval'), GOOD, errors, {})).status, 'failed');
  assert.equal(
    (await taken(step('final-approval'), GOOD, { ...NOTHING, isFailed: true }, {})).status,
    'failed',
  );
  const byPerson = (state: string) =>
    judgedElsewhere(step('final-approval'), { by: 'person', state }, NOTHING).status;
  assert.equal(byPerson('completed'), 'passed');
  for (const state of ['failed', 'skipped', '']) assert.equal(byPerson(state), 'failed');
});

test('BLOG-49 BLOG-56 an agent’s result is a step’s, and what is none fails the step as if it had broken down', () => {
  const told = (output: Json, more: JsonObject = {}) =>
    judgedElsewhere(step('brand'), { by: 'agent', state: 'completed', error: '', output, ...more }, NOTHING);
  const issue = { severity: 'warning', code: 'TONE', message: 'Too stiff', suggestion: 'Relax' };
  const result = { passed: true, score: 70, issues: [issue], suggestions: ['Smile'] };
  assert.deepEqual(told({ ...result, more: 1 }), { ...step('brand'), status: 'passed', result });
  assert.equal(told({ ...result, passed: false }).status, 'failed');
  for (const bad of [
    ...[null, 'fine', { passed: true }, { passed: 1, score: 5 }, { passed: true, score: 101 }],
    { passed: true, score: 5, issues: [{ severity: 'fatal', code: 'X', message: 'x' }] },
  ]) {
    const { status, result: none, fault } = told(bad);
    assert.deepEqual([status, none, fault], ['failed', undefined, 'its validator gave no result']);
  }
  assert.equal(told(false, { state: 'failed', error: 'no net' }).fault, 'no net');
});

test('BLOG-55 steps run by their order, and the first that had to be passed and was not ends the run, the rest skipped', async () => {
  const steps = await run({ ...GOOD, title: '' }, [
    step('moderation', { order: 3 }),
    step('seo-analysis', { order: 1, required: false }),
    step('schema-validation', { order: 2 }),
  ]);
  assert.deepEqual(
    steps.map(({ id, status }) => [id, status]),
    [
      ['seo-analysis', steps[0]?.status],
      ['schema-validation', 'failed'],
      ['moderation', 'skipped'],
    ],
  );
  assert.notEqual(steps[0]?.status, 'skipped');
});

test('BLOG-56 a step that breaks down fails with an error that names it, gives no score, and ends the run only if it must be passed', async () => {
  for (const required of [true, false]) {
    const steps = await run({ title: 'T' }, [
      step('moderation', { name: 'Look', required }),
      step('schema-validation', { order: 2 }),
    ]);
    assert.deepEqual(
      steps.map(({ status }) => status),
      ['failed', required ? 'skipped' : 'failed'],
    );
    const { issues, score } = findingsOf(steps);
    assert.deepEqual([issues[0]?.severity, issues[0]?.code], ['error', 'VALIDATION_ERROR']);
    assert.match(issues[0]?.message ?? '', /^Step Look failed: /);
    assert.equal(score, 0);
    assert.equal(Object.hasOwn(shown(steps[0] ?? step('x')), 'fault'), false);
  }
});

test('BLOG-57 approved is who has no error and failed nothing that must be passed; the score is the mean of those that gave one', () => {
  const done = (
    status: Step['status'],
    score: number,
    severity: 'error' | 'warning' | null,
    required = true,
  ): Step =>
    step('x', {
      ...{ status, required },
      result: {
        ...{ passed: status === 'passed', score },
        issues: severity === null ? [] : [{ severity, code: 'C', message: 'm' }],
      },
    });
  const verdict = (...steps: readonly Step[]) => [verdictOf(steps).approved, verdictOf(steps).score];
  assert.deepEqual(verdict(done('passed', 100, null), done('failed', 50, 'warning', false)), [true, 75]);
  assert.deepEqual(verdict(done('failed', 50, 'warning')), [false, 50]);
  assert.deepEqual(verdict(done('failed', 0, 'error', false)), [false, 0]);
  assert.deepEqual(verdict(done('passed', 90, null), step('y', { status: 'skipped' })), [true, 90]);
  assert.deepEqual(verdict(), [true, 0]);
});

test('BLOG-58 recommendations are all suggestions in order, each once, at most 20', () => {
  const many = Array.from({ length: 30 }, (_, n) => `s${n}`);
  const with_ = (suggestions: readonly string[], suggestion?: string): Step =>
    step('x', {
      result: {
        ...{ passed: true, score: 1, suggestions },
        issues: suggestion === undefined ? [] : [{ severity: 'info', code: 'C', message: 'm', suggestion }],
      },
    });
  assert.deepEqual(verdictOf([with_(['a', 'b'], 'c'), with_(['b', 'd'])]).recommendations, [
    'a',
    'b',
    'c',
    'd',
  ]);
  assert.equal((verdictOf([with_(many)]).recommendations as readonly string[]).length, 20);
});
