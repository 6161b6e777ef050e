import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { ModelProvider, TextRequest } from '../../engine/ports/model-provider.ts';
import type { ValidationVerdict } from '../../engine/ports/validator.ts';
import { SchemaGuard } from '../../guards/schemas.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createValidator, verdictOf } from './validator.ts';

const GOOD = `# The tide

The sea rises and falls twice a day. The moon pulls the water, and the water follows it around the world.

Fishers know this well. They leave when the water is high, and they come home before it is low.`;

const signal = new AbortController().signal;

function setup(t: { after(work: () => unknown): void }, models: readonly ModelProvider[] = []) {
  const schemas = new SchemaGuard(systemClock, []);
  t.after(() => schemas.stop());
  const validator = createValidator({ clock: systemClock, schemas, models });
  const verdict = (request: JsonObject, scoreMin = 0.7): Promise<ValidationVerdict> =>
    validator.validate(validator.orderOf(request, { scoreMin }), signal);
  return { validator, verdict };
}

function codesOf({ issues }: ValidationVerdict): readonly string[] {
  return issues.map(({ severity, code }) => `${severity} ${code}`);
}

function provider(more: Partial<ModelProvider>): ModelProvider {
  const absent = (): never => {
    throw new Error('not asked for');
  };
  return {
    ...{ name: 'far', models: ['judge'], anyModel: false, imageModel: null, moderationModel: null },
    ...{ priceOf: () => null, generate: absent, draw: absent, moderate: absent },
    ...{ start: async () => {}, stop: async () => {} },
    ...more,
  };
}

function answering(text: string, asked: TextRequest[] = []): ModelProvider {
  return provider({
    async generate(request) {
      asked.push(request);
      const usage = { inputTokens: 1, outputTokens: 1, estimated: true };
      return { text, toolCalls: [], finishReason: 'stop', model: 'judge', usage };
    },
  });
}

test('ARMY-28 all three rules are checked where none is named, the named ones alone where some are, and another is refused naming those', t => {
  const { validator } = setup(t);
  const terms = { scoreMin: 0.7 };
  assert.deepEqual(validator.orderOf({ content: 'x' }, terms).rules, [
    'format_check',
    'quality_check',
    'policy_check',
  ]);
  const one = validator.orderOf({ content: 'x', validation_rules: ['policy_check'] }, terms);
  assert.deepEqual(one.rules, ['policy_check']);
  for (const request of [
    { content: 'x', validation_rules: ['spelling'] },
    { content: 'x', validation_rules: 7 },
    {},
  ])
    assert.throws(
      () => validator.orderOf(request, terms),
      (error: unknown) =>
        error instanceof DomainError &&
        error.code === 'invalid_request' &&
        JSON.stringify(error.details).includes('quality_check'),
    );
});

test('ARMY-29 ARMY-78 content is valid from the least score on and with no error: 0.69 is not, 0.70 is', async t => {
  const finding = (score: number) => [{ score, issues: [], recommendations: [] }];
  assert.equal(verdictOf({ scoreMin: 0.7 }, finding(0.69)).valid, false);
  assert.equal(verdictOf({ scoreMin: 0.7 }, finding(0.7)).valid, true);
  assert.equal(verdictOf({ scoreMin: 0.9 }, finding(0.89)).valid, false);
  const error = { rule: 'policy_check', severity: 'error', code: 'X', message: 'x' } as const;
  assert.equal(
    verdictOf({ scoreMin: 0.7 }, [{ score: 1, issues: [error], recommendations: [] }]).valid,
    false,
  );
  const { verdict } = setup(t);
  const good = await verdict({ content: GOOD, expected_output: { format: 'markdown' } });
  assert.deepEqual({ ...good, score: 0 }, { valid: true, score: 0, issues: [], recommendations: [] });
  assert.ok(good.score >= 0.7 && good.score <= 1);
});

test('ARMY-30 the score is the mean of the rules’ scores, and whatever the content the same input has the same verdict, 0–1', async t => {
  const { verdict } = setup(t);
  const content = 'write to ann@example.com';
  const scores = [];
  for (const rule of ['format_check', 'quality_check', 'policy_check'])
    scores.push((await verdict({ content, validation_rules: [rule] })).score);
  const all = await verdict({ content });
  assert.equal(all.score, Math.round((scores.reduce((sum, one) => sum + one, 0) / 3) * 100) / 100);
  await fc.assert(
    fc.asyncProperty(
      fc.jsonValue(),
      fc.constantFrom('markdown', 'html', 'json', 'text'),
      async (any, format) => {
        const request = { content: any as JsonObject, expected_output: { format, sections: ['a'] } };
        const [once, again] = [await verdict(request), await verdict(request)];
        assert.deepEqual(once, again);
        assert.ok(once.score >= 0 && once.score <= 1);
        for (const { rule, severity, code, message } of once.issues)
          assert.ok(rule && /^(?:error|warning|info)$/.test(severity) && code && message);
      },
    ),
    { numRuns: 200 },
  );
});

test('ARMY-31 JSON must parse and meet its schema, and each miss is an error with its place', async t => {
  const { verdict } = setup(t);
  const schema = { type: 'object', required: ['n'], properties: { n: { type: 'number' } } };
  const check = async (content: string | JsonObject): Promise<readonly string[]> =>
    codesOf(
      await verdict({
        content,
        validation_rules: ['format_check'],
        expected_output: { format: 'json', schema },
      }),
    );
  assert.deepEqual(await check('{"n": 1}'), []);
  assert.deepEqual(await check({ n: 1 }), []);
  assert.deepEqual(await check('{"n": 1'), ['error INVALID_JSON']);
  const wrong = await verdict({
    content: { n: 'x' },
    validation_rules: ['format_check'],
    expected_output: { format: 'json', schema },
  });
  assert.deepEqual(codesOf(wrong), ['error SCHEMA_MISMATCH']);
  assert.equal(wrong.issues[0]?.path, 'n');
  await assert.rejects(
    verdict({ content: {}, validation_rules: ['format_check'], expected_output: { schema: { type: 7 } } }),
    { code: 'invalid_request' },
  );
});

test('ARMY-31 markdown and HTML must be well formed', async t => {
  const { verdict } = setup(t);
  const check = async (format: string, content: string): Promise<readonly string[]> =>
    codesOf(await verdict({ content, validation_rules: ['format_check'], expected_output: { format } }));
  for (const well of [
    '# A\n\ntext [a](b)\n\n```js\n# [x](\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |',
    GOOD,
    '',
  ])
    assert.deepEqual(await check('markdown', well), [], well);
  for (const ill of ['```\nopen', '# \n\ntext', 'see [a](b', '| a | b |\n|---|---|\n| 1 |'])
    assert.deepEqual(await check('markdown', ill), ['error INVALID_MARKDOWN'], ill);
  const page =
    '<!doctype html><p>a<p class="x>y">b<br><ul><li>1<li>2</ul><script>if (a<b) "</i>"</script>1 < 2';
  for (const well of [page, '<div><!-- <b> --><b>x</b></div>', '<img src=a.png/>', ''])
    assert.deepEqual(await check('html', well), [], well);
  for (const ill of ['<div><b>x</div>', '<div>', 'x</b>', '<!-- open', '<a href="x>y', '<script>open'])
    assert.deepEqual((await check('html', ill)).slice(0, 1), ['error INVALID_HTML'], ill);
});

test('ARMY-31 every named section must have a heading and text, in each format', async t => {
  const { verdict } = setup(t);
  const check = async (format: string, content: string | JsonObject): Promise<readonly string[]> => {
    const expected = { format, sections: ['Introducción', 'Sources'] };
    return codesOf(await verdict({ content, validation_rules: ['format_check'], expected_output: expected }));
  };
  const missing = ['error MISSING_SECTION'];
  assert.deepEqual(await check('markdown', '# introduccion\ntext\n## Part\n# Sources\n## Web\nhere'), []);
  assert.deepEqual(await check('markdown', '# Introducción\ntext\n\n`Sources`'), missing);
  assert.deepEqual(await check('markdown', 'Introducción\n===\ntext\n# Sources\n# Other\nx'), [
    'error EMPTY_SECTION',
  ]);
  assert.deepEqual(await check('html', '<h2>Introducción</h2><p>x<h2>Sources</h2><h3>a</h3>b'), []);
  assert.deepEqual(await check('html', '<h2>Introducción</h2><p>x</p><h2>Sources</h2>'), [
    'error EMPTY_SECTION',
  ]);
  assert.deepEqual(await check('text', 'Introducción:\ntext here.\n\nSources\na book.'), []);
  assert.deepEqual(await check('text', 'Introducción: text here, with sources.'), [...missing, ...missing]);
  assert.deepEqual(await check('json', '{"introducción": "x", "sources": ["a"]}'), []);
  assert.deepEqual(await check('json', '{"introducción": "x", "sources": []}'), ['error EMPTY_SECTION']);
});

test('ARMY-32 each weak point is a warning with one recommendation: length, readability, repetition, structure, sources', async t => {
  const { verdict } = setup(t);
  const check = async (content: string, expected: JsonObject = {}) => {
    const found = await verdict({ content, validation_rules: ['quality_check'], expected_output: expected });
    assert.equal(found.recommendations.length, new Set(found.issues.map(({ code }) => code)).size);
    return codesOf(found);
  };
  assert.deepEqual(await check(GOOD), []);
  assert.deepEqual(await check(GOOD, { min_words: 200 }), ['warning TOO_SHORT']);
  assert.deepEqual(await check(GOOD, { max_words: 10 }), ['warning TOO_LONG']);
  assert.deepEqual(await check(GOOD, { sources: 1 }), ['warning FEW_SOURCES']);
  assert.deepEqual(await check(`${GOOD}\n\nSee https://example.com/tides.`, { sources: true }), []);
  assert.deepEqual(await check('The same thing is said here. '.repeat(12)), ['warning REPETITIVE']);
  const sentence = (n: number): string =>
    `Boat ${n} left the bay at hour ${n * 7} and it was seen again on day ${n * 3}. `;
  const long = Array.from({ length: 40 }, (_, n) => sentence(n)).join('');
  assert.ok((await check(long)).includes('warning NO_HEADINGS'));
  assert.ok((await check(`# Boats\n\n${long}`)).includes('warning LONG_PARAGRAPHS'));
  assert.deepEqual(await check(''), ['warning EMPTY']);
});

test('ARMY-32 Spanish and English texts that are hard to read are told from easy ones', async t => {
  const { verdict } = setup(t);
  const hardTexts = [
    'La institucionalización gubernamental de las responsabilidades administrativas interdepartamentales, considerablemente condicionada por la indeterminación constitucional de las competencias jurisdiccionales, imposibilita sistemáticamente la implementación presupuestaria de las infraestructuras.',
    'The institutionalization of interdepartmental administrative responsibilities, considerably conditioned by constitutional indeterminacy regarding jurisdictional competencies, systematically necessitates the reconceptualization of infrastructural implementation methodologies and accountability.',
  ];
  const easyTexts = [
    'El mar sube y baja dos veces al día. La luna tira del agua y el agua va con ella. Los que pescan lo saben muy bien y salen pronto.',
    GOOD,
  ];
  for (const content of hardTexts)
    assert.ok(
      codesOf(await verdict({ content, validation_rules: ['quality_check'] })).includes(
        'warning HARD_TO_READ',
      ),
    );
  for (const content of easyTexts)
    assert.deepEqual(codesOf(await verdict({ content, validation_rules: ['quality_check'] })), []);
});

test('ARMY-32 what is nearly all taken from another content is told, with what it is like', async t => {
  const { verdict } = setup(t);
  const copied = await verdict({
    content: `${GOOD} Really.`,
    validation_rules: ['quality_check'],
    context: {
      duplicates_of: { 'post-1': GOOD, 'post-2': 'Something else is told in this one, from start to end.' },
    },
  });
  assert.deepEqual(codesOf(copied), ['warning DUPLICATE']);
  assert.match(copied.issues[0]?.message ?? '', /post-1/);
});

test('ARMY-33 ARMY-73 ARMY-74 ARMY-75 offences and personal data are errors, bias a warning that lowers the score; what was found is not repeated', async t => {
  const { verdict } = setup(t);
  const check = (content: string | JsonObject, context: JsonObject = {}): Promise<ValidationVerdict> =>
    verdict({ content, context, validation_rules: ['policy_check'] });
  assert.deepEqual(codesOf(await check('You are a fucking idiot')), ['error OFFENSIVE_CONTENT']);
  const told = await check({ note: { mail: 'write to ann@example.com' } });
  assert.deepEqual(codesOf(told), ['error PERSONAL_DATA_EMAIL']);
  assert.equal(told.issues[0]?.path, 'note.mail');
  assert.ok(!JSON.stringify(told).includes('ann@'));
  assert.deepEqual(codesOf(await check('write to ann@example.com', { pii_allowed: true })), []);
  const biased = await check('All women are stupid.');
  assert.deepEqual(codesOf(biased), ['warning BIAS_SEX']);
  assert.ok(biased.valid && biased.score < 1);
});

test('ARMY-34 a model adds its score and its issues marked as its own, and cannot take back what the rules found', async t => {
  const asked: TextRequest[] = [];
  const said = {
    score: 0.2,
    issues: [{ severity: 'warning', code: 'DULL', message: 'dull' }],
    recommendations: ['Cheer up.'],
  };
  const { verdict } = setup(t, [answering(JSON.stringify(said), asked)]);
  const plain = await setup(t).verdict({ content: GOOD });
  const found = await verdict({ content: GOOD });
  assert.equal(asked.length, 1);
  assert.ok(asked[0]?.messages.some(message => 'text' in message && message.text.includes('tide')));
  assert.equal(found.score, Math.round(((plain.score * 3 + 0.2) / 4) * 100) / 100);
  assert.deepEqual(found.issues, [
    { rule: 'quality_check', severity: 'warning', code: 'DULL', message: 'dull', source: 'model' },
  ]);
  assert.deepEqual(found.recommendations, ['Cheer up.']);
  const flattered = setup(t, [answering('{"score": 1, "issues": [], "recommendations": []}')]);
  assert.equal((await flattered.verdict({ content: 'write to ann@example.com' })).valid, false);
});

test('ARMY-73 a model’s moderation is added where one is configured', async t => {
  const strict = provider({
    models: [],
    moderationModel: 'm',
    moderate: async () => ({ flagged: true, categories: ['hate'] }),
  });
  const found = await setup(t, [strict]).verdict({ content: GOOD });
  assert.deepEqual(
    found.issues.map(({ rule, code, source }) => [rule, code, source]),
    [['policy_check', 'OFFENSIVE_CONTENT', 'model']],
  );
  assert.equal(found.valid, false);
});

test('ARMY-34 a model that fails or answers nonsense leaves the rules’ verdict standing, with a warning', async t => {
  const plain = await setup(t).verdict({ content: GOOD });
  const failing = provider({ generate: () => Promise.reject(new DomainError('unavailable', 'away')) });
  for (const model of [failing, answering('I like it'), answering('{"score": 7}')]) {
    const found = await setup(t, [model]).verdict({ content: GOOD });
    assert.deepEqual({ ...found, issues: [] }, plain);
    assert.deepEqual(codesOf(found), ['warning MODEL_UNAVAILABLE']);
    assert.equal(found.issues[0]?.source, 'model');
  }
});

test('ARMY-78 a result of figures alone has no text that could be bad, and nothing at all is not good enough', async t => {
  const { verdict } = setup(t);
  assert.equal((await verdict({ content: { n: 4 } })).valid, true);
  assert.equal((await verdict({ content: null })).valid, false);
});
