import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { Json } from '../../domain/json.ts';
import { systemClock } from '../../runtime/clock.ts';
import { Expressions, ParseBudget, parseExpression } from './expressions.ts';
import {
  expressionsIn,
  parseJsonTemplate,
  parseTemplate,
  renderJson,
  renderText,
  renderUrl,
} from './templates.ts';

function start(t: TestContext): (text: string, value: Json) => Promise<Json | undefined> {
  const expressions = new Expressions(systemClock);
  t.after(() => expressions.stop());
  return async (text, value) =>
    (await expressions.evaluate([parseExpression(text, new ParseBudget())], value))[0];
}

test('an expression takes values apart and puts them together, and reaches nothing beside them', async t => {
  const value = start(t);
  const data = {
    items: [
      { id: 1, on: true },
      { id: 2, on: false },
    ],
    when: { at: 'now' },
  };
  assert.deepEqual(await value('items[?on].id', data), [1]);
  assert.deepEqual(await value('{at: when.at, last: items[-1].id}', data), { at: 'now', last: 2 });
  assert.equal(await value('absent.deeper', data), null);
  for (const text of [
    'constructor',
    '__proto__.constructor',
    'items.constructor',
    'when.constructor.constructor',
    'toString',
  ])
    assert.equal(await value(text, data), null, text);
  await assert.rejects(value('eval(`"1"`)', data), { code: 'task_failed' });
  await assert.rejects(value('abs(when)', data), { code: 'task_failed' });
});

test('an expression that would never end, or fill all memory, is ended, and the next one has its value', async t => {
  const value = start(t);
  const list = Array.from({ length: 2_000 }, (_, index) => ({ index, text: 'x'.repeat(500) }));
  const bombs = [
    `@${'|[@,@]'.repeat(40)}|to_string(@)`,
    `@${'|[@,@]'.repeat(60)}`,
    `@${'|[@,@]'.repeat(26)}${'|[]'.repeat(25)}`,
    "join('', map(&to_string($), list))",
    "split(to_string($), '')|map(&to_string($), @)",
    'map(&map(&merge($, @), $.list), list)',
    `zip(${Array(100).fill('list').join()})|[].to_string(@)`,
    'sort_by(list[].[@,@,@,@,@][][].[@,@,@,@][][].[@,@,@][][].[@,@,@][], &to_string(@))',
  ];
  for (const bomb of bombs) {
    await assert.rejects(value(bomb, { list }), { code: 'task_failed' }, bomb);
    assert.equal(await value('length(list)', { list }), 2_000);
  }
  for (const text of ["pad_left('x', `500000000`)", "a[].replace(@, 'a', 'b')"])
    assert.throws(() => parseExpression(text, new ParseBudget()), /is not offered/);
});

test('a value larger than 16 MiB once written is refused', async t => {
  const value = start(t);
  const text = 'x'.repeat(3_000_000);
  await assert.rejects(value('[@,@,@,@,@,@]', text), /makes too large a value/);
});

test('what an expression speaks of is known without evaluating it', () => {
  const places = (text: string) =>
    parseExpression(text, new ParseBudget()).references.map(({ place, name }) => `${place}.${name}`);
  assert.ok(places('responses.login.body.id').includes('responses.login'));
  assert.ok(places('$.secrets.key').includes('secrets.key'));
  assert.ok(places('length(responses.a[0].b)').includes('responses.a'));
  assert.ok(places("responses.a || 'x'").includes('responses.a'));
  assert.deepEqual(places("'responses.a'"), []);
});

test('braces in an expression do not end its template, and a literal is text', () => {
  const [only, ...more] = parseTemplate('{{ {a: {b: inputs.x}} }}', new ParseBudget());
  assert.deepEqual([typeof only, more.length], ['object', 0]);
  const two = parseTemplate("a {{ x }} b {{ '}}' }} c", new ParseBudget());
  assert.deepEqual(
    expressionsIn(two).map(({ text }) => text),
    ['x', "'}}'"],
  );
  const values = new Map<string, Json>([
    ['x', { k: [1] }],
    ["'}}'", '}}'],
  ]);
  assert.equal(renderText(two, values), 'a {"k":[1]} b }} c');
});

test('whatever a value in a URL is, it stays one piece of the path', () => {
  const template = parseTemplate('https://api.example.com/a/{{ x }}/z?q={{ x }}', new ParseBudget());
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1 }), text => {
      fc.pre(text !== '.' && text !== '..');
      const url = new URL(renderUrl(template, new Map([['x', text]])));
      assert.equal(url.origin, 'https://api.example.com');
      const pieces = url.pathname.split('/');
      assert.deepEqual([pieces.length, pieces[1], pieces[3]], [4, 'a', 'z']);
      assert.equal(decodeURIComponent(pieces[2] ?? ''), text.toWellFormed());
      assert.deepEqual([...url.searchParams], [['q', text.toWellFormed()]]);
    }),
  );
});

test('JSON without templates goes through unchanged, and a lone template keeps its type', () => {
  fc.assert(
    fc.property(fc.jsonValue(), value => {
      fc.pre(!JSON.stringify(value).includes('{{'));
      const plain = JSON.parse(JSON.stringify(value)) as Json;
      assert.deepEqual(renderJson(parseJsonTemplate(plain, new ParseBudget()), new Map()), plain);
      if (value !== null) {
        const lone = parseJsonTemplate({ a: ['{{ x }}'] }, new ParseBudget());
        assert.deepEqual(renderJson(lone, new Map([['x', plain]])), { a: [plain] });
      }
    }),
  );
});
