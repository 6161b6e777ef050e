import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  finalFinding,
  type PipelineState,
  type PipelineStep,
  pipelineResult,
  runPipeline,
  type StepAnswer,
  type StepFinding,
} from './content-pipeline.ts';

const passed: StepFinding = { passed: true, score: 100, issues: [], suggestions: [] };
const failed: StepFinding = { passed: false, score: 0, issues: [], suggestions: [] };

function setup(answers: Readonly<Record<string, StepAnswer | (() => StepAnswer)>>) {
  const ran: string[] = [];
  const kept: PipelineState[] = [];
  return {
    ran,
    kept,
    go: (steps: readonly PipelineStep[], resume: PipelineState | null = null) =>
      runPipeline(
        steps,
        {},
        {
          resume,
          run: ({ id }) => {
            ran.push(id);
            const answer = answers[id] ?? passed;
            return typeof answer === 'function' ? answer() : answer;
          },
          keep: async state => void kept.push(state),
        },
      ),
  };
}

function step(id: string, order: number, required = false): PipelineStep {
  return { id, order, required };
}

function statuses({ steps }: PipelineState): readonly string[] {
  return steps.map(({ id, status }) => `${id} ${status}`);
}

test('BLOG-55 steps run one by one by ascending order, each kept as running and then as what it came to', async () => {
  const { go, ran, kept } = setup({ b: failed });
  const state = await go([step('c', 3), step('a', 1), step('b', 2)]);
  assert.deepEqual(ran, ['a', 'b', 'c']);
  assert.deepEqual(statuses(state), ['a passed', 'b failed', 'c passed']);
  assert.equal(state.ended, true);
  assert.deepEqual(
    kept.map(one => one.steps.map(({ status }) => status).join()),
    [
      'running,pending,pending',
      'passed,pending,pending',
      'passed,running,pending',
      'passed,failed,pending',
      'passed,failed,running',
      'passed,failed,passed',
    ],
  );
});

test('BLOG-55 the first required step that fails ends the run, and the rest is skipped', async () => {
  const { go, ran } = setup({ a: failed, b: failed });
  const state = await go([step('a', 1), step('b', 2, true), step('c', 3, true), step('d', 4)]);
  assert.deepEqual(ran, ['a', 'b']);
  assert.deepEqual(statuses(state), ['a failed', 'b failed', 'c skipped', 'd skipped']);
});

test('BLOG-56 a step that throws has failed with an error that names it and why, gives no score, and ends the run only if required', async () => {
  const boom = (): never => {
    throw new Error('no network');
  };
  const optional = await setup({ a: boom }).go([step('a', 1), step('b', 2)]);
  assert.deepEqual(statuses(optional), ['a failed', 'b passed']);
  const { issues, score, approved } = pipelineResult(optional);
  assert.deepEqual(
    issues.map(({ severity, code }) => [severity, code]),
    [['error', 'VALIDATION_ERROR']],
  );
  assert.match(issues[0]?.message ?? '', /step a .*no network/);
  assert.deepEqual([score, approved], [100, false]);
  const required = await setup({ a: boom }).go([step('a', 1, true), step('b', 2)]);
  assert.deepEqual(statuses(required), ['a failed', 'b skipped']);
});

test('BLOG-54 BLOG-57 it is approved when nothing is an error and no required step failed; its score is the mean of those that gave one, 0 if none', async () => {
  const warning = { severity: 'warning', code: 'W', message: 'w' } as const;
  const lenient = await setup({ a: { ...failed, score: 55, issues: [warning] } }).go([
    step('a', 1),
    step('b', 2),
  ]);
  assert.deepEqual(pipelineResult(lenient), {
    approved: true,
    score: 77.5,
    issues: [warning],
    recommendations: [],
  });
  assert.deepEqual(finalFinding(lenient), { passed: true, score: 77.5, issues: [], suggestions: [] });
  const strict = await setup({ a: failed }).go([step('a', 1, true)]);
  assert.equal(pipelineResult(strict).approved, false);
  assert.equal(finalFinding(strict).passed, false);
  const silent = await setup({ a: { passed: true, issues: [], suggestions: [] } }).go([step('a', 1)]);
  assert.equal(pipelineResult(silent).score, 0);
  assert.equal((await setup({}).go([])).ended, true);
});

test('BLOG-58 recommendations are the steps’ suggestions in step order without repeats, at most 20', async () => {
  const issue = { severity: 'info', code: 'I', message: 'i', suggestion: 'of an issue' } as const;
  const many = Array.from({ length: 30 }, (_, n) => `s${n}`);
  const state = await setup({
    a: { ...passed, suggestions: ['first', 'again'], issues: [issue] },
    b: { ...passed, suggestions: ['again', ...many] },
  }).go([step('b', 2), step('a', 1)]);
  const { recommendations } = pipelineResult(state);
  assert.deepEqual(recommendations.slice(0, 4), ['first', 'again', 'of an issue', 's0']);
  assert.equal(recommendations.length, 20);
});

test('BLOG-54 a step that waits for somebody leaves the run as it is, and it goes on there', async () => {
  let isDecided = false;
  const { go, ran } = setup({ b: () => (isDecided ? passed : 'waiting') });
  const steps = [step('a', 1), step('b', 2, true), step('c', 3)];
  const waiting = await go(steps);
  assert.deepEqual(statuses(waiting), ['a passed', 'b running', 'c pending']);
  assert.equal(waiting.ended, false);
  isDecided = true;
  assert.deepEqual(statuses(await go(steps, waiting)), ['a passed', 'b passed', 'c passed']);
  assert.deepEqual(ran, ['a', 'b', 'b', 'c']);
});

test('BLOG-55 a run taken up from whatever was kept last comes to what an undisturbed one comes to', async () => {
  const answer = fc.record(
    {
      passed: fc.boolean(),
      score: fc.integer({ min: 0, max: 100 }),
      issues: fc.constant([]),
      suggestions: fc.array(fc.constantFrom('x', 'y')),
    },
    { noNullPrototype: true },
  );
  const plan = fc.array(
    fc.record({ order: fc.integer({ min: 0, max: 3 }), required: fc.boolean(), answer }),
    { maxLength: 6 },
  );
  await fc.assert(
    fc.asyncProperty(plan, fc.nat(), async (drawn, crash) => {
      const steps = drawn.map(({ order, required }, index) => step(`s${index}`, order, required));
      const answers = Object.fromEntries(drawn.map((one, index) => [`s${index}`, one.answer]));
      const { go, kept } = setup(answers);
      const whole = await go(steps);
      const left = JSON.parse(
        JSON.stringify(kept[crash % Math.max(1, kept.length)] ?? null),
      ) as PipelineState | null;
      assert.deepEqual(await setup(answers).go(steps, left), whole);
    }),
  );
});
