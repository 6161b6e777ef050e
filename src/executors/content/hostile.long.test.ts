// Whatever a provider sends and whatever a value holds: the task ends with a code, and templates put values in and do nothing else.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isErrorCode } from '../../domain/errors.ts';
import type { Json } from '../../domain/json.ts';
import { setup } from './fixture.test.ts';
import { calls, says, status } from './model-server.test.ts';
import { Phrases } from './phrases.ts';
import { fill, placesIn } from './template.ts';

const jsonValue = fc.jsonValue({ maxDepth: 4 });
/** Like an answer of the API, with anything in its places. */
const almost = fc.record(
  {
    model: fc.oneof(fc.string({ maxLength: 500 }), jsonValue),
    choices: fc.oneof(
      jsonValue,
      fc.array(
        fc.record(
          {
            index: jsonValue,
            finish_reason: fc.oneof(fc.constantFrom('stop', 'length', 'tool_calls'), jsonValue),
            message: fc.oneof(
              fc.record({ content: jsonValue, tool_calls: jsonValue }, { requiredKeys: [] }),
              jsonValue,
            ),
            delta: fc.oneof(
              fc.record({ content: jsonValue, tool_calls: jsonValue }, { requiredKeys: [] }),
              jsonValue,
            ),
          },
          { requiredKeys: [] },
        ),
        { maxLength: 3 },
      ),
    ),
    usage: fc.oneof(
      jsonValue,
      fc.record({ prompt_tokens: fc.double(), completion_tokens: fc.double(), total_tokens: fc.double() }),
    ),
    error: jsonValue,
  },
  { requiredKeys: [] },
);
/** An answer that is one, but for how it counts. */
const counted = fc
  .record({
    content: fc.string(),
    usage: fc.record({ prompt_tokens: fc.double(), completion_tokens: fc.double() }),
  })
  .map(({ content, usage }) => ({
    choices: [
      { index: 0, message: { role: 'assistant', content }, delta: { content }, finish_reason: 'stop' },
    ],
    usage,
  }));
const event = fc.oneof(
  counted.map(chunk => `data: ${JSON.stringify(chunk)}\n\n`),
  almost.map(chunk => `data: ${JSON.stringify(chunk)}\n\n`),
  fc.string().map(text => `data: ${text}\n\n`),
  fc.string(),
  fc.constant('data: [DONE]\n\n'),
);

test('whatever a provider answers, the task completes or fails with a code of the house', async t => {
  const answers = fc.oneof(
    fc.record({
      stream: fc.constant(false),
      body: fc.oneof(almost, counted, jsonValue).map(one => JSON.stringify(one)),
    }),
    fc.record({
      stream: fc.constant(true),
      body: fc.array(event, { maxLength: 6 }).map(all => all.join('')),
    }),
  );
  let completed = 0;
  const code = fc.constantFrom(200, 200, 200, 200, 201, 204, 302, 400, 404, 418, 429, 500, 599);
  await fc.assert(
    fc.asyncProperty(answers, code, async ({ stream, body }, http) => {
      const { run, server } = await setup(t);
      server.answers.push(
        status(http, { 'content-type': stream ? 'text/event-stream' : 'application/json' }, body),
      );
      const result = await run({ prompt: 'x', stream });
      if (result.status === 'failed')
        assert.ok(isErrorCode(result.error.code) && result.error.code !== 'internal');
      const { tokensUsed = 0, cost = 0 } = result.metrics ?? {};
      assert.ok(
        Number.isSafeInteger(tokensUsed) && tokensUsed >= 0 && Number.isFinite(cost),
        String(tokensUsed),
      );
      if (result.status === 'completed') completed++;
    }),
    { numRuns: 200 },
  );
  assert.ok(completed > 0);
});

test('SAM-153 a template puts in each value once, whatever it holds, and leaves the rest as it is', () => {
  const name = fc.stringMatching(/^[a-z_][a-z0-9_]{0,8}$/);
  const value = fc.oneof(
    fc.string(),
    fc.constantFrom('{{a}}', '$&', '$1', '{{', '}}', '__proto__'),
    jsonValue,
  );
  const pieces = fc.array(fc.record({ text: fc.string().filter(text => !/[{}]/.test(text)), name }), {
    maxLength: 8,
  });
  fc.assert(
    fc.property(pieces, fc.dictionary(name, value), (parts, given) => {
      const values = new Map<string, Json>(Object.entries(given) as [string, Json][]);
      for (const part of parts) if (!values.has(part.name)) values.set(part.name, part.text);
      const source = parts.map(part => `${part.text}{{ ${part.name} }}`).join('');
      const expected = parts.map(part => {
        const put = values.get(part.name) as Json;
        return `${part.text}${typeof put === 'string' ? put : JSON.stringify(put)}`;
      });
      const missing = (path: string): never => assert.fail(path);
      assert.equal(fill(source, values, { missing, put: () => {} }), expected.join(''));
      assert.deepEqual([...placesIn(source)].sort(), [...new Set(parts.map(part => part.name))].sort());
    }),
  );
});

test('a template reaches no property that is not a value of its own', () => {
  const values = new Map<string, Json>([['a', { b: [1] }]]);
  for (const path of [
    'a.constructor',
    'a.__proto__',
    'a.b.length',
    'a.b.-1',
    'a.b.1',
    'toString',
    '__proto__',
  ])
    assert.throws(
      () =>
        fill(`{{${path}}}`, values, {
          missing: () => {
            throw new Error('missing');
          },
          put: () => {},
        }),
      /missing/,
      path,
    );
});

test('values put in thousands of times end the task, not the process', async t => {
  const { error, server } = await setup(t);
  const variables = { big: 'x'.repeat(100_000), deep: { list: ['y'.repeat(100_000)] } };
  for (const prompt of ['{{big}}'.repeat(50_000), '{{deep}}'.repeat(50_000)]) {
    const failed = await error({ prompt, variables });
    assert.deepEqual([failed.code, failed.recoverable], ['payload_too_large', false]);
  }
  assert.equal(server.asked.length, 0);
});

test('an object that nests without end is no object', async t => {
  const { error, output, server } = await setup(t);
  const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
  const payload = { kind: 'structured', prompt: 'x', output_schema: {}, max_tokens: 100_000 };
  server.answers.push(says(deep), says(deep));
  const failed = await error(payload);
  assert.equal(failed.code, 'task_failed');
  assert.match(JSON.stringify(failed.details?.errors), /at most 64 levels/);
  server.answers.push(says(deep), says('[[1]]'));
  assert.deepEqual((await output(payload)).object, [[1]]);
  const tools = [{ name: 'look', description: 'looks', parameters: {}, endpoint: `${server.url}/tool` }];
  server.answers.push(calls([{ id: 'c', name: 'look', input: deep }]), says('No.'));
  assert.equal((await output({ prompt: 'x', tools, max_tokens: 100_000 })).text, 'No.');
});

test('SAM-156 a thousand phrases that nearly match a text of a million characters are told in a moment', () => {
  const phrase = (index: number): string => `${'a '.repeat(15)}b${index}`;
  const phrases = new Phrases(
    Array.from({ length: 1_000 }, (_, index) => ({ category: 'c', phrase: phrase(index) })),
  );
  const text = 'a '.repeat(500_000);
  const startedAt = performance.now();
  assert.equal(phrases.find(text), null);
  assert.ok(performance.now() - startedAt < 10_000);
  assert.equal(phrases.find(`${text}b7`), 'c');
});

test('SAM-156 a phrase is found in any case, spacing and spelling, cut into any pieces, and not within other words', () => {
  const phrases = new Phrases([
    { category: 'tongue', phrase: 'C++' },
    { category: 'bird', phrase: 'Project  Falcon' },
  ]);
  for (const [text, category] of [
    ['we write c++, mostly', 'tongue'],
    ['PROJECT\n\tFALCON!', 'bird'],
    ['ｐｒｏｊｅｃｔ falcon', 'bird'],
    ['project falconer, c+ and myproject falcon', null],
    ['', null],
  ] as const) {
    assert.equal(phrases.find(text), category, text);
    for (let size = 1; size < 6; size++) {
      const look = phrases.watch();
      const pieces = [...(`${text} .`.match(new RegExp(`[\\s\\S]{1,${size}}`, 'gu')) ?? [])];
      assert.equal(pieces.map(look).find(found => found !== null) ?? null, category, `${text} by ${size}`);
    }
  }
});
