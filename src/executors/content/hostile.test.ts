// Whatever a provider sends and whatever a value holds: the task ends with a code, and templates put values in and do nothing else.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isErrorCode } from '../../domain/errors.ts';
import type { Json } from '../../domain/json.ts';
import { setup } from './fixture.test.ts';
import { status } from './model-server.test.ts';
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
      assert.equal(fill(source, values, missing), expected.join(''));
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
        fill(`{{${path}}}`, values, () => {
          throw new Error('missing');
        }),
      /missing/,
      path,
    );
});
