// The words the rules of bias go by, in English and Spanish, folded as speech is: groups, verbs, predicates and set phrases.

/** What statements are biased about. */
export type Group = 'sex' | 'origin' | 'religion' | 'age' | 'disability' | 'orientation';

/** A group's name. */
export interface GroupName {
  readonly group: Group;
  readonly phrase: readonly string[];
  /** Colours and adjectives mean people only with an article before them. */
  readonly needsArticle: boolean;
}

/** A set phrase that demeans a group by itself. */
export interface Saying {
  readonly group: Group;
  readonly phrase: readonly string[];
}

const NAMES: Readonly<Record<Group, { readonly plain: string; readonly withArticle: string }>> = {
  sex: {
    plain:
      'women, men, girls, females, males, housewives, mujeres, hombres, chicas, niñas, feministas, feminists',
    withArticle: 'boys, tias',
  },
  origin: {
    plain:
      'immigrants, migrants, foreigners, refugees, mexicans, arabs, africans, asians, gypsies, black people, latinos, indians, moroccans, romanians, jamaicans, inmigrantes, extranjeros, refugiados, gitanos, sudamericanos, africanos, marroquies, mexicanos, venezolanos, personas negras',
    withArticle:
      'chinese, blacks, whites, negros, chinos, moros, arabes, rumanos, catalanes, andaluces, blancos, indios',
  },
  religion: {
    plain:
      'muslims, jews, christians, catholics, hindus, buddhists, atheists, mormons, musulmanes, judios, cristianos, catolicos, ateos, budistas, evangelicos',
    withArticle: 'protestantes',
  },
  age: {
    plain:
      'old people, older people, elderly people, seniors, boomers, millennials, young people, teenagers, pensioners, older workers, personas mayores, ancianos, jubilados, adolescentes, trabajadores mayores, gente mayor, gente joven',
    withArticle: 'elderly, viejos, jovenes, mayores',
  },
  disability: {
    plain:
      'disabled people, people with disabilities, deaf people, blind people, autistic people, autistics, mentally ill people, wheelchair users, discapacitados, minusvalidos, personas con discapacidad, personas discapacitadas, autistas, enfermos mentales',
    withArticle: 'disabled, deaf, blind, sordos, ciegos, cojos',
  },
  orientation: {
    plain:
      'gays, gay people, gay men, lesbians, homosexuals, bisexuals, trans people, transgender people, queers, homosexuales, lesbianas, bisexuales, transexuales, personas trans, personas homosexuales',
    withArticle: '',
  },
};

const SET_PHRASES: Readonly<Record<Group, string>> = {
  sex: 'a woman s place is, throws like a girl, runs like a girl, cries like a girl, mujer al volante, boys don t cry, los chicos no lloran, los hombres no lloran, sexo debil, weaker sex, mujer tenias que ser, man s job, trabajo de hombres',
  origin:
    'trabajo de chinos, engañar como a un chino, merienda de negros, trabajar como un negro, hacer el indio',
  religion: 'hacer una judiada, una judiada, to jew someone',
  age: 'too old to learn, demasiado viejo para aprender, demasiado vieja para aprender',
  disability: 'confined to a wheelchair, wheelchair bound, parece un autista',
  orientation: 'no homo, that s so gay, eso es de maricones, not natural to be gay',
};

/** Group names by their first word. */
export const GROUPS: ReadonlyMap<string, readonly GroupName[]> = byFirstWord(
  entriesOf(NAMES).flatMap(([group, { plain, withArticle }]) => [
    ...phrasesOf(plain).map(phrase => ({ group, phrase, needsArticle: false })),
    ...phrasesOf(withArticle).map(phrase => ({ group, phrase, needsArticle: true })),
  ]),
);

/** Set phrases by their first word. */
export const SAYINGS: ReadonlyMap<string, readonly Saying[]> = byFirstWord(
  entriesOf(SET_PHRASES).flatMap(([group, list]) => phrasesOf(list).map(phrase => ({ group, phrase }))),
);

/** What says that they are so. */
export const COPULAS = phrasesOf(
  'are, are more likely to be, tend to be, will always be, son, estan, suelen ser, seran siempre',
);

/** What says that they must, or must not. */
export const DUTIES = phrasesOf(
  'should, must, ought to, need to, belong in, deben, deberian, tienen que, tendrian que, merecen, deserve',
);

/** What says that they are unable, and at what that is a prejudice. */
export const ABILITIES = {
  verbs: phrasesOf(
    'cannot, can t, can not, don t know how to, do not know how to, are unable to, are incapable of, will never be able to, don t, do not, no saben, no pueden, no son capaces de, nunca podran, no sirven para, no valen para, no entienden, no quieren',
  ),
  predicates: wordsOf(
    'drive driving drivers lead leading leaders think thinking math maths code coding program understand learn learning trusted technology science work working manage parent adapt integrate ' +
      'conducir liderar mandar pensar razonar programar entender entienden aprender trabajar adaptarse integrarse tecnologia matematicas ciencia ordenadores dirigir',
  ),
} as const;

/** Where, and how, those who say so want them to be. */
export const PLACES = wordsOf(
  'home kitchen silent quiet obey submit submissive back country convert cure cured hide hidden separate retire ' +
    'casa cocina callarse calladas obedecer someterse sumisas volver volverse largarse pais convertirse curarse esconderse separarse',
);

/** What demeans, or makes all of them alike. */
export const DEMEANING = wordsOf(
  'bad worse worst inferior stupid dumb idiots lazy dirty dishonest liars thieves criminals dangerous violent terrorists terrorist fanatics extremists emotional hysterical irrational weak useless worthless incompetent incapable unstable greedy stingy cheap ' +
    'crazy ugly disgusting sick perverts pervert promiscuous immoral sinners unnatural abnormal trash illiterate ignorant backward uncivilized slow forgetful burden burdens obsolete irresponsible spoiled childish untrustworthy submissive gossips manipulative rapists deviants objects ' +
    'malas malos peores inferiores tontas tontos estupidas estupidos vagas vagos sucios sucias mentirosos mentirosas ladrones delincuentes criminales peligrosos peligrosas violentos terroristas fanaticos extremistas histericas emocionales irracionales debiles inutiles incompetentes incapaces inestables avaros tacaños ' +
    'locas locos asquerosos enfermos pervertidos viciosos promiscuos inmorales pecadores antinaturales anormales ignorantes atrasados incivilizados lentos lentas olvidadizos olvidadizas carga estorbo obsoletos irresponsables malcriados infantiles sumisas cotillas manipuladoras violadores maleantes holgazanes',
);

/** What denies that they are human. */
export const DEHUMANIZING = wordsOf(
  'vermin animals rats cockroaches parasites scum plague subhuman subhumans filth cancer ' +
    'alimañas animales ratas cucarachas parasitos escoria plaga infrahumanos basura cancer',
);

/** What those call for who want harm done to all of them. */
export const HARM = wordsOf(
  'exterminated killed eliminated eradicated die deported sterilized shot hanged ' +
    'exterminados morir morirse eliminados deportados esterilizados fusilados muertos exterminadas eliminadas deportadas',
);

function entriesOf<Value>(record: Readonly<Record<Group, Value>>): readonly (readonly [Group, Value])[] {
  return Object.entries(record) as [Group, Value][];
}

function phrasesOf(list: string): readonly (readonly string[])[] {
  return list === '' ? [] : list.split(', ').map(phrase => phrase.split(' '));
}

function wordsOf(list: string): ReadonlySet<string> {
  return new Set(list.split(' '));
}

function byFirstWord<Entry extends { readonly phrase: readonly string[] }>(
  entries: readonly Entry[],
): ReadonlyMap<string, readonly Entry[]> {
  return Map.groupBy(entries, ({ phrase }) => phrase[0] ?? '');
}
