// How well texts read.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { QUALITY_POINTS, qualityOf, readabilityOf, syllablesOf } from './quality.ts';

test('easy texts are easier than hard ones, in both languages', () => {
  const easy = [
    'The cat sat on the mat. The dog ran to the cat. They had fun.',
    'El gato come pan. La niña ve al gato. Hoy hace sol.',
  ];
  const hard = [
    'Notwithstanding considerable organizational complexity, interdisciplinary collaboration facilitates comprehensive institutional transformation across heterogeneous environments.',
    'La institucionalización de procedimientos administrativos interdisciplinares posibilita transformaciones organizativas extraordinariamente significativas en entornos heterogéneos.',
  ];
  for (const text of easy) assert.ok(readabilityOf(text) > 70, `${text}: ${readabilityOf(text)}`);
  for (const text of hard) assert.ok(readabilityOf(text) < 30, `${text}: ${readabilityOf(text)}`);
});

test('syllables are counted by the rules of the language', () => {
  for (const [word, count] of Object.entries({ casa: 2, telefono: 4, pan: 1, canciones: 3 }))
    assert.equal(syllablesOf(word, true), count, word);
  for (const [word, count] of Object.entries({ cat: 1, water: 2, banana: 3, time: 1 }))
    assert.equal(syllablesOf(word, false), count, word);
});

test('a text that says one thing over and over, has no parts, or is short loses points for that', () => {
  const sentence = (n: number): string =>
    `Number ${n} tells of river${n} and hill${n} with bird${n} in tree${n} near town${n}.`;
  const fine = Array.from({ length: 8 }, (_, p) =>
    Array.from({ length: 4 }, (_, n) => sentence(p * 4 + n)).join(' '),
  ).join('\n\n');
  const good = qualityOf(`## One\n\n${fine}`);
  assert.ok(
    good.points.length === 100 && good.points.repetition > 80 && good.points.structure === 100,
    JSON.stringify(good),
  );
  assert.deepEqual([good.headings, good.paragraphs, good.sentences], [1, 8, 32]);
  const repeated = qualityOf(`${sentence(1)} `.repeat(40));
  assert.ok(repeated.points.repetition < 20);
  assert.ok(qualityOf(fine.replaceAll('\n\n', ' ')).points.structure < 70);
  assert.ok(qualityOf(sentence(1)).points.length < 15);
  assert.deepEqual(qualityOf('').points, { length: 0, readability: 0, structure: 0, repetition: 0 });
});

test('any text has marks from 0 to 100, the same each time', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), text => {
      const { points } = qualityOf(text);
      for (const point of QUALITY_POINTS)
        assert.ok(points[point] >= 0 && points[point] <= 100 && Number.isInteger(points[point]));
      assert.deepEqual(qualityOf(text).points, points);
    }),
  );
});
