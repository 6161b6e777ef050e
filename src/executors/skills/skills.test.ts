// The six skills, with a real store and no model, and with one that answers as it is told.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Loose } from '../../../test/serve.ts';
import { DomainError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { CHORES, SKILLS } from '../../domain/skill.ts';
import type { Task } from '../../domain/task.ts';
import { type ContentOrder, Contents } from '../../engine/contents.ts';
import { Memory } from '../../engine/memory/memory.ts';
import { planFrom } from '../../engine/planning.ts';
import type { AttemptContext, AttemptResult, ProgressReport } from '../../engine/ports/executor.ts';
import type { ModelProvider, TextRequest } from '../../engine/ports/model-provider.ts';
import { SchemaGuard } from '../../guards/schemas.ts';
import { systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { systemRandom } from '../../runtime/random.ts';
import { openSqliteInProcess } from '../../store/sqlite/open.ts';
import { createSkillsExecutor, SKILL_SHAPES } from './executor.ts';
import { wordCountOf } from './generating.ts';

const TENANT = 'default' as TenantId;

/** A model that says what it is told to, or fails so. */
function modelOf(says: (request: TextRequest) => string, flags = false): ModelProvider {
  return {
    ...{ name: 'told', models: ['m1'], anyModel: false, imageModel: null, moderationModel: 'mod' },
    priceOf: () => null,
    async generate(request) {
      const usage = { inputTokens: 1, outputTokens: 1, estimated: false };
      return { text: says(request), toolCalls: [], finishReason: 'stop', model: 'm1', usage };
    },
    draw: () => Promise.reject(new Error('draws nothing')),
    moderate: async () => ({ flagged: flags, categories: flags ? ['violence/graphic'] : [] }),
    start: async () => {},
    stop: async () => {},
  };
}

async function setup(t: { after(work: () => unknown): void }, models: readonly ModelProvider[] = []) {
  const store = await openSqliteInProcess({
    ...{ path: ':memory:', auditKey: new Uint8Array(32), clock: systemClock, random: systemRandom },
  });
  t.after(() => store.stop());
  const memory = new Memory({
    ...{ log: silentLog, clock: systemClock, store: store.memory, leads: () => false },
  });
  const executor = createSkillsExecutor({
    ...{ clock: systemClock, store, models, memory: () => memory },
    schemas: new SchemaGuard(systemClock, SKILL_SHAPES),
  });
  const contents = new Contents({ store, memory });
  const change = async (order: ContentOrder): Promise<void> => {
    const { effect } = await contents.decide(TENANT, order, { taskId: 't', at: 1 });
    const [outcome] = await store.memory.put([effect.record]);
    assert.notEqual(outcome?.status, 'conflict');
  };
  let tasks = 0;
  const attempt = async (typeName: string, payload: JsonObject, checkpoint: Json = null) => {
    const reports: ProgressReport[] = [];
    const id = `task-${++tasks}`;
    const context = {
      ...{ task: { tenant: TENANT, id, spec: { typeName, payload } } as unknown as Task, checkpoint },
      ...{ signal: new AbortController().signal, report: (one: ProgressReport) => reports.push(one) },
    } as unknown as AttemptContext;
    const result: AttemptResult = await executor.run(context);
    return { result, reports };
  };
  return {
    ...{ executor, change, attempt },
    async run(skill: string, input: JsonObject, more: JsonObject = {}): Promise<Loose> {
      const { result } = await attempt(skill, { input, ...more });
      assert.equal(result.status, 'completed', JSON.stringify(result));
      return result.output;
    },
    async fails(skill: string, input: JsonObject): Promise<Loose> {
      try {
        const { result } = await attempt(skill, { input });
        assert.equal(result.status, 'failed');
        return result.status === 'failed' ? result.error : null;
      } catch (error) {
        if (error instanceof DomainError) return error;
        throw error;
      }
    },
    async publish(contentId: string, content: JsonObject): Promise<void> {
      await change({ action: 'create_content', contentId, content });
      await contents.noteVerdict(TENANT, contentId, content, { approved: true, at: 1 });
      await change({ action: 'publish_content', contentId });
    },
  };
}

const BREAD = {
  title: 'Baking bread at home',
  content: 'Bread needs flour, water and salt. Knead the dough well. Bake the bread in a hot oven.',
};
const BIKES = {
  title: 'Repairing bicycles',
  content: 'A bicycle chain wants oil. Check the brakes of the bicycle each month.',
};
const PAN = {
  title: 'Pan casero',
  content: 'El pan lleva harina, agua y sal. La masa del pan descansa una noche.',
};

test('BLOG-24 a text about a topic has about the words of its length, and what goes with it, the same each time', async t => {
  const { run, fails, publish } = await setup(t);
  for (const topic of ['Electric cars', 'El coche eléctrico en la ciudad'])
    for (const [length, words] of Object.entries({ short: 300, medium: 800, long: 1_500 })) {
      const made = await run('generate_content', { topic, length, tone: 'friendly' });
      assert.ok(Math.abs(made.wordCount - words) <= words * 0.15, `${topic} ${length}: ${made.wordCount}`);
      assert.equal(made.wordCount, wordCountOf(made.content));
      assert.ok(made.title.length > 0 && made.excerpt.length > 0 && made.tags.length > 0);
      assert.equal(made.generator, 'template');
      assert.deepEqual(await run('generate_content', { topic, length, tone: 'friendly' }), made);
    }
  assert.equal((await run('generate_content', { topic: 'x' })).wordCount > 680, true);
  for (const topic of ['', '   ', 'x'.repeat(301)])
    assert.equal((await fails('generate_content', { topic })).code, 'invalid_request');
  assert.equal((await fails('generate_content', { topic: 'x', length: 'endless' })).code, 'invalid_request');
  await publish('bread', BREAD);
  const related = await run('generate_content', { topic: 'Baking bread', length: 'short' });
  assert.match(related.content, /Baking bread at home/);
});

test('BLOG-25 a summary is made of sentences of the text and never longer than it; an empty text is refused', async t => {
  const { run, fails, change } = await setup(t);
  const text =
    'Tea is a drink. Tea is made of leaves. My aunt has a cat. Many people drink tea in the morning. It rains.';
  const { summary, keyPoints, generator } = await run('summarize_content', {
    content: text,
    maxSentences: 2,
  });
  assert.equal(summary.split('. ').length, 2);
  for (const point of [...keyPoints, ...summary.split(/(?<=\.) /)]) assert.ok(text.includes(point), point);
  assert.ok(summary.length <= text.length);
  assert.equal(generator, 'template');
  assert.equal((await run('summarize_content', { content: text })).summary.split(/(?<=\.) /).length, 3);
  await change({ action: 'create_content', contentId: 'bread', content: BREAD });
  assert.match((await run('summarize_content', { contentId: 'bread', maxSentences: 1 })).summary, /[Bb]read/);
  for (const content of ['', ' \n ', '# Heading only'])
    assert.equal((await fails('summarize_content', { content })).code, 'invalid_request', content);
  assert.equal((await fails('summarize_content', {})).code, 'invalid_request');
  assert.equal((await fails('summarize_content', { contentId: 'lost' })).code, 'not_found');
});

test('BLOG-26 moderation scores seven categories from 0 to 1, in Spanish and English', async t => {
  const { run } = await setup(t);
  const clean = await run('moderate_content', { content: 'The baker sells bread. El panadero vende pan.' });
  assert.equal(clean.flagged, false);
  assert.deepEqual(Object.keys(clean.categories).sort(), [
    ...['harassment', 'hate', 'profanity', 'self-harm', 'sexual', 'spam', 'violence'],
  ]);
  for (const content of ['You are a fucking idiot, kill yourself', 'Eres un puto idiota, mátate']) {
    const { flagged, categories } = await run('moderate_content', { content });
    assert.equal(flagged, true, content);
    for (const score of Object.values(categories)) assert.ok(Number(score) >= 0 && Number(score) <= 1);
  }
});

test('BLOG-27 an analysis has seven checks whose points are its score, the same each time, and more for a better page', async t => {
  const { run } = await setup(t);
  const poor = { title: 'x', content: 'y' };
  const made = await run('generate_content', { topic: 'Electric cars', length: 'medium' });
  const good = {
    ...{
      title: made.title,
      content: `${made.content}\n\n[More](https://example.com)`,
      keywords: ['electric', 'cars'],
    },
    metaDescription: 'A practical guide to electric cars: what they cost, how they drive, and how to begin.',
  };
  for (const page of [poor, good]) {
    const { score, checks } = await run('analyze_seo', page);
    assert.deepEqual(
      checks.map(({ id }: Loose) => id),
      [...['title', 'description', 'keywords', 'headings', 'length', 'links', 'readability']],
    );
    assert.equal(
      score,
      checks.reduce((sum: number, { points }: Loose) => sum + points, 0),
    );
    assert.equal(
      checks.reduce((sum: number, { pointsMax }: Loose) => sum + pointsMax, 0),
      100,
    );
    assert.deepEqual(await run('analyze_seo', page), { score, checks });
  }
  const [low, high] = [(await run('analyze_seo', poor)).score, (await run('analyze_seo', good)).score];
  assert.ok(low < 50 && high > 85, `${low} ${high}`);
});

test('BLOG-28 recommendations are published contents like what is given, nearest first, without their text', async t => {
  const { run, publish, change, fails } = await setup(t);
  assert.deepEqual((await run('recommend_content', { text: 'bread' })).recommendations, []);
  await publish('bread', BREAD);
  await publish('bikes', BIKES);
  await publish('rolls', {
    title: 'Rolls of bread',
    content: 'Rolls are small bread from the same dough of flour and water.',
  });
  await change({ action: 'create_content', contentId: 'draft', content: BREAD });
  const { recommendations } = await run('recommend_content', { text: 'Baking bread with flour in the oven' });
  assert.deepEqual(
    recommendations.map(({ contentId }: Loose) => contentId),
    ['bread', 'rolls'],
  );
  assert.ok(recommendations[0].score > recommendations[1].score);
  assert.deepEqual(Object.keys(recommendations[0]).sort(), ['contentId', 'score', 'title']);
  const like = await run('recommend_content', { contentId: 'bread' });
  assert.deepEqual(
    like.recommendations.map(({ contentId }: Loose) => contentId),
    ['rolls'],
  );
  assert.equal((await run('recommend_content', { text: 'bread', limit: 1 })).recommendations.length, 1);
  assert.deepEqual((await run('recommend_content', { text: 'volcanoes' })).recommendations, []);
  assert.equal((await fails('recommend_content', {})).code, 'invalid_request');
  await run(
    'chat_interaction',
    { message: 'How do I oil a bicycle chain?', sessionId: 's' },
    { context: { userId: 'u1' } },
  );
  const forUser = await run('recommend_content', { userId: 'u1' });
  assert.deepEqual(
    forUser.recommendations.map(({ contentId }: Loose) => contentId),
    ['bikes'],
  );
});

test('BLOG-29 a chat answers from what is published, says so where nothing matches, and keeps its turns in order', async t => {
  const asked: TextRequest[] = [];
  const { run, publish } = await setup(t);
  await publish('bread', BREAD);
  await publish('pan', PAN);
  const first = await run('chat_interaction', { message: 'What does bread need?', sessionId: 's1' });
  assert.match(first.reply, /flour, water and salt/);
  assert.deepEqual(
    first.sources.map(({ contentId }: Loose) => contentId),
    ['bread'],
  );
  assert.match(
    (await run('chat_interaction', { message: '¿Qué lleva el pan de casa?', sessionId: 's1' })).reply,
    /harina/,
  );
  const none = await run('chat_interaction', { message: 'Tell me about volcanoes', sessionId: 's1' });
  assert.deepEqual([none.sources, none.reply], [[], 'I have found nothing published about that.']);
  const told = await setup(t, [modelOf(request => `answer ${asked.push(request)}`)]);
  for (const message of ['one', 'two', 'three'])
    await told.run('chat_interaction', { message, sessionId: 's2' });
  assert.deepEqual(
    asked.at(-1)?.messages.flatMap(one => (one.role === 'system' || one.role === 'tool' ? [] : [one.text])),
    ['one', 'answer 1', 'two', 'answer 2', 'three'],
  );
});

test('BLOG-30 BLOG-71 a model writes, summarizes, talks and moderates; its rate limit fails the skill for now, another fault for good', async t => {
  const { run } = await setup(t, [modelOf(() => '# A title\n\nSome words by a model.', true)]);
  const made = await run('generate_content', { topic: 'Tea' });
  assert.deepEqual(
    [made.title, made.content, made.generator],
    ['A title', 'Some words by a model.', 'model'],
  );
  const long = 'Some words. '.repeat(30);
  assert.equal((await run('summarize_content', { content: long })).generator, 'model');
  assert.equal((await run('chat_interaction', { message: 'hi', sessionId: 's' })).generator, 'model');
  const moderated = await run('moderate_content', { content: 'fine' });
  assert.deepEqual([moderated.flagged, moderated.categories.violence], [true, 1]);
  const failing = (code: 'rate_limited' | 'unprocessable') =>
    modelOf(() => {
      throw new DomainError(code, 'the model says no');
    });
  for (const [code, recoverable] of [
    ['rate_limited', true],
    ['unprocessable', false],
  ] as const) {
    const { fails } = await setup(t, [failing(code)]);
    const error = await fails('generate_content', { topic: 'Tea' });
    assert.deepEqual([error.code, error.recoverable], ['task_failed', recoverable]);
  }
});

test('BLOG-42 the model and temperature of a config are those the model is asked with', async t => {
  const asked: TextRequest[] = [];
  const { run } = await setup(t, [modelOf(request => `# T\n\nanswer ${asked.push(request)}`)]);
  const config = { model: 'm1', temperature: 0.25 };
  await run('generate_content', { topic: 'Tea' }, { config });
  assert.deepEqual([asked[0]?.model, asked[0]?.temperature], ['m1', 0.25]);
});

test('BLOG-17 a model’s plan is used only if every skill and parameter of it is known', async t => {
  const plan = async (says: string): Promise<Loose> => {
    const { attempt } = await setup(t, [modelOf(() => says)]);
    const { result } = await attempt('plan_content', {
      intent: 'summarize-content',
      context: { content: 'x' },
    });
    return result.status === 'completed' ? result.output : null;
  };
  const own = { steps: [{ skill: 'summarize_content', params: { content: 'x' } }] };
  const good = {
    steps: [
      { skill: 'generate_content', params: { topic: 'x' } },
      { skill: 'analyze_seo', params: {} },
    ],
  };
  assert.deepEqual(await plan(`Here: ${JSON.stringify(good)}`), good);
  for (const bad of [
    'no plan',
    '{"steps":[]}',
    '{"steps":[{"skill":"dance","params":{}}]}',
    '{"steps":[{"skill":"analyze_seo","params":{"sql":1}}]}',
  ])
    assert.deepEqual(await plan(bad), own, bad);
  assert.equal(planFrom(Array.from({ length: 21 }, () => good.steps[0] ?? null)), null);
});

test('what has skills offers each as a type of custom task', async t => {
  const { executor } = await setup(t);
  assert.deepEqual(executor.typeNames, [...SKILLS, ...CHORES]);
  assert.equal(executor.status().available, true);
});

test('BLOG-73 a skill that breaks down tells where in development alone', async t => {
  const broken = modelOf(() => {
    throw new TypeError('broken');
  });
  for (const [environment, tells] of [
    ['development', true],
    ['production', false],
  ] as const) {
    const { attempt } = await setup(t, [broken]);
    const { result } = await attempt('generate_content', {
      input: { topic: 'Tea' },
      context: { environment },
    });
    assert.ok(result.status === 'failed');
    assert.equal(result.error.details?.stack !== undefined, tells);
  }
});

test('BLOG-35 an attempt tells its stages as it comes to them', async t => {
  const { attempt } = await setup(t);
  const { reports } = await attempt('moderate_content', { input: { content: 'fine' } });
  assert.deepEqual(
    reports.map(({ currentStep }) => currentStep),
    ['validating', 'executing', 'validating_result'],
  );
});

test('BLOG-59 BLOG-55 a validation goes on at the step that is not done', async t => {
  const { attempt } = await setup(t);
  const content = { title: 'T', content: 'Some fine words.' };
  const steps = [
    { id: 'schema-validation', name: 'Schema', order: 1, required: true },
    { id: 'moderation', name: 'Moderation', order: 2, required: true },
  ];
  const whole = await attempt('validate_content', { contentId: 'c', content, steps });
  const checkpoints = whole.reports.flatMap(({ checkpoint }) =>
    checkpoint === undefined ? [] : [checkpoint],
  );
  assert.equal(checkpoints.length, 2);
  const rest = await attempt('validate_content', { contentId: 'c', content, steps }, checkpoints[0]);
  assert.deepEqual(
    rest.reports.flatMap(({ currentStep }) => currentStep ?? []),
    ['moderation'],
  );
  const [one, other] = [whole.result, rest.result].map(result =>
    result.status === 'completed' ? (result.output as Loose) : null,
  );
  assert.deepEqual(other.steps, one.steps);
  const alerts = whole.reports.flatMap(report => report.alerts ?? []);
  assert.deepEqual(
    alerts.map(alert => (alert.kind === 'note' ? alert.name : '')),
    ['content.moderated'],
  );
});
