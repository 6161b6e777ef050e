// Words, stems and languages of Spanish and English texts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fold, languageOf, stemOf, stemsOf, wordsOf } from './words.ts';

const FAMILIES: readonly (readonly string[])[] = [
  ['venta', 'ventas'],
  ['conversión', 'conversiones', 'conversion', 'conversions'],
  ['estrategia', 'estrategias'],
  ['strategy', 'strategies'],
  ['incrementar', 'incrementando', 'incrementado', 'incrementada', 'increment', 'increments', 'incremented'],
  ['calificación', 'calificaciones', 'calificar', 'calificado'],
  ['personalización', 'personalizaciones'],
  ['luz', 'luces'],
  ['house', 'houses'],
  ['running', 'runs', 'run'],
  ['box', 'boxes'],
  ['tomate', 'tomates', 'tomato', 'tomatoes'],
  ['class', 'classes'],
  ['service', 'services'],
  ['rápido', 'rápida', 'rápidamente', 'rapidas'],
];

test('the forms of a word, singular and plural, of either gender, of several tenses, have one stem', () => {
  for (const family of FAMILIES) {
    const stems = new Set(family.map(word => stemOf(fold(word))));
    assert.equal(stems.size, 1, `${family.join(' ')}: ${[...stems].join(' ')}`);
  }
});

test('words of different families have different stems', () => {
  const stems = FAMILIES.map(([word = '']) => stemOf(fold(word)));
  assert.ok(new Set(stems).size >= stems.length - 1, stems.join(' '));
  assert.notEqual(stemOf(fold('año')), stemOf(fold('ano')));
  for (const name of ['b2b', 'sam-225', 'v1', 'api']) assert.equal(stemOf(name), name);
});

test('words know where they stand, and which of them say nothing', () => {
  const text = 'La tasa de conversión, the client’s rate (B2B).';
  const words = wordsOf(text);
  assert.deepEqual(
    words.filter(({ empty }) => !empty).map(({ surface }) => surface),
    ['tasa', 'conversión', 'client’s', 'rate', 'B2B'],
  );
  for (const { surface, start, end } of words) assert.equal(text.slice(start, end), surface);
  assert.deepEqual(stemsOf('client’s'), stemsOf('clients'));
});

test('a query of nothing but empty words is looked for as it is', () => {
  assert.deepEqual(stemsOf('to be or not to be'), ['to', 'be', 'or', 'not', 'to', 'be']);
});

test('a text’s language is told by its empty words, and left open where they do not tell', () => {
  assert.equal(languageOf('Los estudios demuestran que el proceso puede incrementar las tasas'), 'es');
  assert.equal(languageOf('Studies show that the process may increase rates'), 'en');
  assert.equal(languageOf('API 42'), null);
  assert.equal(languageOf(''), null);
});

test('any text has words that lie in it in order, with stems that are never empty', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), text => {
      let before = 0;
      for (const { start, end, stem } of wordsOf(text)) {
        assert.ok(start >= before && end > start && end <= text.length && stem !== '');
        before = end;
      }
    }),
  );
});
