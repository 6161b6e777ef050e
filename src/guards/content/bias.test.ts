import assert from 'node:assert/strict';
import { test } from 'node:test';
import { biasIn } from './bias.ts';

const codes = (text: string): readonly string[] => biasIn(text).map(({ code }) => code);

const BIASED: Readonly<Record<string, readonly string[]>> = {
  BIAS_SEX: [
    'Women are bad drivers.',
    'All women are emotional.',
    "Girls can't do math.",
    'Women should stay in the kitchen.',
    'Men are trash',
    'Las mujeres son malas conductoras.',
    'Las mujeres deben quedarse en casa.',
    'Las mujeres no saben conducir',
    'Mujer al volante, peligro constante',
  ],
  BIAS_ORIGIN: [
    'Immigrants are criminals.',
    'Mexicans are lazy',
    'The Chinese are dirty',
    'Los inmigrantes son delincuentes.',
    'Todos los gitanos son ladrones',
    'Los moros son peligrosos',
    'Es un trabajo de chinos',
  ],
  BIAS_RELIGION: [
    'Muslims are terrorists',
    'Jews are greedy',
    'Los musulmanes son terroristas',
    'Los judíos son avaros',
  ],
  BIAS_AGE: [
    "Old people can't learn technology",
    'Boomers are useless',
    'Los viejos no saben usar la tecnología',
    'Las personas mayores son lentas y son una carga',
    'Los jóvenes son vagos',
  ],
  BIAS_DISABILITY: [
    'Disabled people are a burden',
    'The deaf are stupid',
    'Los discapacitados son una carga',
    'Los autistas son peligrosos',
  ],
  BIAS_ORIENTATION: [
    'Gay people are disgusting',
    'Lesbians are unnatural',
    'Los homosexuales son unos enfermos',
    'Los gays son viciosos',
  ],
};

const FAIR: readonly string[] = [
  'Women are half of the population, and women are engineers.',
  'Women are not bad drivers.',
  'It is a myth that women are bad drivers.',
  'Es falso que los inmigrantes son delincuentes.',
  'Las mujeres no son malas conductoras.',
  'Los zapatos negros son malos y los productos chinos son peores.',
  'Crimes against immigrants are terrible; the shoes for women are ugly.',
  'Los derechos de las mujeres son inferiores en algunos países.',
  'Immigrants are victims of criminals. Women are at higher risk of breast cancer.',
  'Old people are welcome here. They are slow to complain.',
  'Las personas mayores son bienvenidas. Es una carga pesada.',
  'The elderly are entitled to a pension under the law',
  'Women cannot vote there.',
  'Deaf people should have interpreters at home.',
  'Los autistas tienen derechos; los animales son peligrosos',
  'Gays and lesbians are citizens.',
  '',
];

test('ARMY-74 generalizing or demeaning statements about each protected group are found, in English and Spanish', () => {
  for (const [code, texts] of Object.entries(BIASED))
    for (const text of texts) {
      assert.deepEqual(codes(text), [code], text);
      assert.deepEqual(codes(`Hello there. ${text.toUpperCase()}`), [code], text);
    }
  const all = Object.values(BIASED).map(([first]) => first);
  assert.deepEqual(codes(all.join('. ')), Object.keys(BIASED));
});

test('ARMY-74 what denies, reports or has another subject is not bias, nor is a fact about a group', () => {
  for (const text of FAIR) assert.deepEqual(codes(text), [], text);
});

test('ARMY-74 BLOG-26 what denies people being human, or calls for harm, is told from the rest', () => {
  const isDehumanizing = (text: string): boolean | undefined => biasIn(text)[0]?.isDehumanizing;
  assert.equal(isDehumanizing('Immigrants are vermin'), true);
  assert.equal(isDehumanizing('Los judíos deben morir'), true);
  assert.equal(isDehumanizing('Immigrants are lazy'), false);
});
