// What is generated, over real sockets: texts, objects, pictures, and what they are made from.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../domain/json.ts';
import { SchemaGuard } from '../../guards/schemas.ts';
import { systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { createContentExecutor } from './executor.ts';
import { KEY, setup } from './fixture.test.ts';
import { begins, json, PNG, piece, says, status } from './model-server.test.ts';

const PRICES = { writer: { inputPerMillion: 2, outputPerMillion: 10 }, painter: { perImage: 0.04 } };
const SCHEMA: JsonObject = {
  type: 'object',
  required: ['name', 'stars'],
  properties: { name: { type: 'string' }, stars: { type: 'integer', maximum: 5 } },
};

test('SAM-153 a prompt becomes a text, with its model, tokens, cost and a file', async t => {
  const { output, run, saved, server } = await setup(t, { primary: { prices: PRICES } });
  const made = await output({ prompt: 'Say hello.', system: 'Be kind.', temperature: 0.5 });
  assert.equal(made.text, 'Hello from the model.');
  assert.deepEqual(
    [made.model, made.provider, made.finish_reason, made.tokens_used, made.cost],
    ['writer-2026', 'primary', 'stop', 110, (100 * 2 + 10 * 10) / 1e6],
  );
  assert.deepEqual(made.usage, { input_tokens: 100, output_tokens: 10, estimated: false });
  assert.equal(saved.get('content.txt')?.text, made.text);
  const [asked] = server.asked;
  assert.deepEqual(asked?.body.messages, [
    { role: 'system', content: 'Be kind.' },
    { role: 'user', content: 'Say hello.' },
  ]);
  assert.deepEqual([asked?.body.temperature, asked?.body.max_tokens], [0.5, 4_096]);
  const { metrics } = await run({ prompt: 'Again.' });
  assert.deepEqual([metrics?.apiCalls, metrics?.tokensUsed, metrics?.cost], [1, 110, 0.0003]);
});

test('SAM-153 templates take variables and earlier results, and what was said of form and tone reaches the model', async t => {
  const { output, server, saved } = await setup(t);
  const payload = {
    prompt: 'Describe {{product.name}} ({{product}}) in view of {{notes}} and {{report}}. {{ not a place }}',
    variables: { product: { name: 'a lamp' } },
    inputs: { notes: { artifact_id: 'a1' }, report: { task_id: 't1', path: 'rows.0.total' } },
    content_type: 'product description',
    format: 'markdown',
    tone: 'friendly',
    length: 'about 50 words',
    language: 'Spanish',
    artifact_name: 'lamp.md',
  };
  await output(payload, {
    artifacts: { a1: 'notes with {{product.name}} in them' },
    tasks: { t1: { rows: [{ total: 12 }] } },
  });
  const messages = server.asked[0]?.body.messages as readonly JsonObject[];
  assert.equal(
    messages[1]?.content,
    'Describe a lamp ({"name":"a lamp"}) in view of notes with {{product.name}} in them and 12. {{ not a place }}',
  );
  for (const word of ['product description', 'friendly', 'about 50 words', 'Spanish', 'Markdown'])
    assert.match(String(messages[0]?.content), new RegExp(word));
  assert.equal(saved.get('lamp.md')?.mediaType, 'text/markdown; charset=utf-8');
});

test('SAM-155 a text shows as it is written, with the time to its first token', async t => {
  const { output, server, reports } = await setup(t);
  const { promise: shown, resolve } = Promise.withResolvers<void>();
  // The rest is written only once the beginning has shown: a text told at its end would hang here.
  server.answers.push(
    begins('Once upon ', response => {
      void shown.then(() => {
        response.write(piece('a time'));
        response.write(
          `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}\n\n`,
        );
        response.end('data: [DONE]\n\n');
      });
    }),
  );
  const made = await output(
    { prompt: 'A tale.' },
    {
      onReport: ({ intermediate }) => {
        if (intermediate !== undefined) resolve();
      },
    },
  );
  assert.equal(made.text, 'Once upon a time');
  const partial = reports.map(({ intermediate }) => intermediate as JsonObject | undefined).find(one => one);
  assert.deepEqual([partial?.partial_text, partial?.partial_from], ['Once upon ', 0]);
  assert.equal(made.first_token_ms, partial?.first_token_ms);
  assert.equal((made.usage as JsonObject).estimated, true);
});

test('without stream the answer comes at once, and nothing is told of it before', async t => {
  const { output, server, reports } = await setup(t);
  const made = await output({ prompt: 'Say hello.', stream: false });
  assert.deepEqual([made.text, made.first_token_ms], ['Hello from the model.', null]);
  assert.equal(server.asked[0]?.body.stream, undefined);
  assert.ok(reports.every(({ intermediate }) => intermediate === undefined));
});

test('SAM-153 an object matches its schema, after one repair where it must', async t => {
  const { output, error, server, saved } = await setup(t);
  const payload = { kind: 'structured', prompt: 'Rate it.', output_schema: SCHEMA };
  server.answers.push(says('```json\n{"name": "lamp", "stars": 4}\n```'));
  const first = await output(payload);
  assert.deepEqual([first.object, first.repaired], [{ name: 'lamp', stars: 4 }, false]);
  assert.deepEqual(JSON.parse(saved.get('content.json')?.text ?? ''), first.object);
  const format = server.asked[0]?.body.response_format as { readonly json_schema: JsonObject };
  assert.deepEqual(format.json_schema.schema, SCHEMA);

  server.answers.push(says('{"name": "lamp", "stars": 9}'), says('{"name": "lamp", "stars": 5}'));
  const second = await output(payload);
  assert.deepEqual(
    [second.object, second.repaired, second.tokens_used],
    [{ name: 'lamp', stars: 5 }, true, 220],
  );
  const again = server.asked.at(-1)?.body.messages as readonly JsonObject[];
  assert.match(String(again.at(-1)?.content), /object\.stars/);

  server.answers.push(says('no'), says('still no'), says('{"name": "lamp", "stars": 1}'));
  const failed = await error(payload);
  assert.deepEqual([failed.code, failed.recoverable], ['task_failed', false]);
  assert.match(JSON.stringify(failed.details), /is not JSON/);
  assert.equal(server.asked.length, 5);
});

test('SAM-153 what a model does not take is asked for differently, from its first refusal on', async t => {
  const { output, error, server } = await setup(t);
  const refuse = (message: string) => status(400, {}, { error: { message } });
  server.answers.push(
    refuse(
      "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    ),
    refuse('This response_format type is unavailable now'),
    says('{"name": "lamp", "stars": 4}'),
    says('{"name": "lamp", "stars": 3}'),
    refuse("Use 'max_completion_tokens' instead."),
  );
  const payload = { kind: 'structured', prompt: 'Rate it.', output_schema: SCHEMA, max_tokens: 50 };
  assert.deepEqual((await output(payload)).object, { name: 'lamp', stars: 4 });
  assert.deepEqual((await output(payload)).object, { name: 'lamp', stars: 3 });
  const forms = server.asked.map(({ body }) => [
    body.max_tokens,
    body.max_completion_tokens,
    'response_format' in body,
  ]);
  assert.deepEqual(forms, [
    [50, undefined, true],
    [undefined, 50, true],
    [undefined, 50, false],
    [undefined, 50, false],
  ]);
  assert.equal((await error(payload)).code, 'task_failed');
  assert.equal(server.asked.length, 5);
});

test('SAM-153 pictures become artifacts of what their bytes are, and cost what each costs', async t => {
  const { output, error, server, saved } = await setup(t, {
    primary: { imageModel: 'painter', prices: PRICES },
  });
  const made = await output({
    kind: 'image',
    prompt: 'A {{thing}}.',
    variables: { thing: 'lamp' },
    n: 2,
    size: '64x64',
  });
  assert.deepEqual([made.images, made.cost, made.model], [2, 0.08, 'painter']);
  assert.deepEqual(saved.get('image-2.png')?.bytes, PNG);
  assert.equal(saved.get('image-1.png')?.mediaType, 'image/png');
  assert.deepEqual([server.asked[0]?.body.prompt, server.asked[0]?.body.size], ['A lamp.', '64x64']);
  server.answers.push(json({ data: [{ b64_json: Buffer.from('<svg onload=x>').toString('base64') }] }));
  assert.equal((await error({ kind: 'image', prompt: 'A lamp.' })).code, 'task_failed');
});

test('SAM-153 n alternatives are n texts that share the limit of tokens', async t => {
  const { output, server, saved } = await setup(t);
  server.answers.push(says('one'), says('two'));
  const made = await output({ prompt: 'A slogan.', n: 2, max_tokens: 100 });
  assert.deepEqual([made.text, made.texts, made.tokens_used], ['one', ['one', 'two'], 220]);
  assert.deepEqual([...saved.keys()], ['content-1.txt', 'content-2.txt']);
  assert.deepEqual(
    server.asked.map(({ body }) => body.max_tokens),
    [50, 90],
  );
});

test('SAM-156 an empty prompt, an unknown kind, a bad schema and what contradicts itself are invalid requests', async t => {
  const { check } = await setup(t);
  const wrong: readonly (readonly [JsonObject, string])[] = [
    [{}, 'task_data'],
    [{ prompt: '' }, 'task_data.prompt'],
    [{ prompt: ' \n' }, 'task_data.prompt'],
    [{ prompt: 'x', messages: [{ role: 'user', content: 'y' }] }, 'task_data'],
    [{ messages: [{ role: 'assistant', content: 'y' }] }, 'task_data.messages'],
    [{ kind: 'song', prompt: 'x' }, 'task_data.kind'],
    [{ kind: 'structured', prompt: 'x' }, 'task_data.output_schema'],
    [{ kind: 'structured', prompt: 'x', output_schema: { type: 'nothing' } }, 'task_data.output_schema'],
    [{ prompt: 'x', size: '10x10' }, 'task_data.size'],
    [{ prompt: 'Hi {{name}}' }, 'task_data.prompt'],
    [{ prompt: 'x', inputs: { a: {} } }, 'task_data.inputs.a'],
    [{ prompt: 'x', max_tokens: 0 }, 'task_data.max_tokens'],
    [
      {
        prompt: 'x',
        tools: [{ name: 't', description: 'd', parameters: {}, endpoint: 'https://a.example', secret: 's' }],
      },
      'task_data.tools.0.secret',
    ],
  ];
  for (const [payload, field] of wrong) {
    await assert.rejects(check(payload), (error: { code?: string; details?: { errors?: JsonObject[] } }) => {
      const fields = error.details?.errors?.map(one => one.field) ?? [];
      assert.equal(error.code, 'invalid_request', JSON.stringify(payload));
      assert.ok(
        fields.some(one => String(one).startsWith(field)),
        `${field} in ${fields}`,
      );
      return true;
    });
  }
  await check({ prompt: 'Hi {{name}}' }, { variables: { name: 'Ana' } });
});

test('SAM-154 a model, a picture or a limit of cost nobody can keep is unprocessable, naming the setting', async t => {
  const { check } = await setup(t);
  await assert.rejects(check({ prompt: 'x', model: 'other' }), { code: 'unprocessable', message: /other/ });
  for (const [payload, setting] of [
    [{ kind: 'image', prompt: 'x' }, 'BATUTA_MODEL_IMAGE'],
    [{ prompt: 'x', max_cost: 1 }, 'BATUTA_MODEL_PRICES'],
  ] as const)
    await assert.rejects(check(payload), (error: { code?: string; details?: JsonObject }) => {
      assert.deepEqual([error.code, error.details?.setting], ['unprocessable', setting]);
      return true;
    });
});

test('SAM-154 without a provider the type is not available, and says which settings make it so', () => {
  const executor = createContentExecutor({
    log: silentLog,
    clock: systemClock,
    outbound: { send: () => Promise.reject(new Error('never')), check: async () => {}, stop: async () => {} },
    schemas: new SchemaGuard(systemClock, []),
    providers: [],
    ownProvider: null,
    blocked: [],
  });
  const { available, missing } = executor.status();
  assert.equal(available, false);
  assert.match(missing ?? '', /BATUTA_MODEL_URL and BATUTA_MODEL/);
});

test('SAM-154 the key goes to the provider and nowhere else', async t => {
  const bundle = await setup(t);
  const made = await bundle.output({ prompt: 'Say hello.' });
  assert.equal(bundle.server.asked[0]?.headers.authorization, `Bearer ${KEY}`);
  const told = JSON.stringify([made, bundle.reports, bundle.logs, bundle.executor.status()]);
  assert.ok(!told.includes(KEY));
});
