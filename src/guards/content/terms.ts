// The shipped lists of words and phrases by category, in English and Spanish, folded as speech is. Short, and chosen so that words with
// an innocent sense of their own (polla, zorra, cock, retardado) weigh little or stand only inside a phrase that gives them the other.

import type { Term } from './lexicon.ts';

/** What a text may be moderated for. */
export const CATEGORIES = [
  'hate',
  'harassment',
  'sexual',
  'violence',
  'self-harm',
  'profanity',
  'spam',
] as const;

/** One of them. */
export type Category = (typeof CATEGORIES)[number];

type Listed = Readonly<Partial<Record<Category, Readonly<Record<number, string>>>>>;

/** Words by category and weight, separated by blanks. */
const WORDS: readonly Listed[] = [
  {
    hate: {
      0.95: 'nigger niggers nigga niggas kikes faggot faggots wetback wetbacks raghead ragheads towelhead towelheads sandnigger',
      0.8: 'gook gooks beaners spics shemale shemales jigaboo untermensch untermenschen subhumans',
    },
    harassment: {
      0.6: 'dickhead dickheads asswipe scumbag scumbags dipshit dumbass jackass cocksucker cocksuckers douchebag douchebags wanker wankers',
      0.4: 'idiot idiots stupid loser losers moron morons imbecile imbeciles',
    },
    sexual: {
      0.8: 'blowjob blowjobs handjob handjobs cumshot cumshots gangbang creampie bukkake titfuck rimjob deepthroating',
      0.4: 'porn porno pornhub hentai milf dildo dildos horny',
      0.3: 'nude nudes nsfw orgasm orgasms tits boobs pussy',
    },
    violence: { 0.4: 'massacre beheading slaughter lynch lynching' },
    'self-harm': { 0.8: 'kys', 0.25: 'suicide suicidal' },
    profanity: {
      0.9: 'cunt cunts fuck fucks fucked fucker fuckers fucking fuckin motherfucker motherfuckers motherfucking fuckyou fuckoff',
      0.7: 'asshole assholes shit shits shitty bullshit shithead shitheads bitch bitches whore whores slut sluts arsehole arseholes twat twats bollocks',
      0.3: 'bastard bastards ass arse damn crap piss pissed prick cock cocks dick',
    },
    spam: { 0.6: 'viagra cialis', 0.2: 'casino jackpot giveaway' },
  },
  {
    hate: {
      0.95: 'sudaca sudacas negrata negratas moromierda moraco moracos',
      0.8: 'maricon maricones maricona mariconas marica maricas travelo travelos sidoso sidosos bujarra bujarras mongolo mongolos feminazi feminazis',
    },
    harassment: {
      0.6: 'imbecil imbeciles tontolaba tontopollas soplapollas lameculos malnacido malnacida malnacidos',
      0.4: 'idiota idiotas cretino cretina cretinos estupido estupida estupidos estupidas inutil inutiles escoria',
    },
    sexual: {
      0.7: 'mamada mamadas follada folladas pajillero',
      0.6: 'follar follando follamos',
      0.4: 'porno pornografia orgia orgias cachonda cachondo cachondas',
      0.3: 'desnuda desnudas tetas polla pollas orgasmo',
    },
    violence: { 0.4: 'degollar degollarlos linchar lincharlos masacrar masacre' },
    'self-harm': { 0.9: 'suicidarme suicidarte matate suicidate', 0.25: 'suicidio suicidarse' },
    profanity: {
      0.9: 'puta puto putas putos putada hijoputa hijaputa hijosdeputa hijodeputa hijueputa gilipollas gilipolla cabron cabrona cabrones conchatumadre',
      0.7: 'mierda mierdas joder jodete jodido jodida coño coñazo cojones pendejo pendeja pendejos chingar chingada chingado chingadera culero culeros huevon hueon pelotudo pelotuda pelotudos follate',
      0.3: 'verga carajo culo hostia ostia capullo zorra boludo cagada cagar',
    },
    spam: { 0.2: 'sorteo' },
  },
];

/** Phrases by category and weight, separated by commas. */
const PHRASES: readonly Listed[] = [
  {
    hate: {
      0.9: 'gas the jews, heil hitler, sieg heil, kill all jews, kill all muslims, kill all gays, kill all blacks, race traitor',
      0.8: 'go back to your country, go back to africa, sand nigger, great replacement',
    },
    harassment: {
      0.8: 'you are worthless, you re worthless, nobody likes you, everyone hates you, i hope you die, go die, kill yourself, fuck you, fuck off, you piece of shit, piece of shit, son of a bitch, suck my dick, shut your mouth',
      0.7: 'you are retarded, you re retarded, you fucking retard, such a retard, you are an idiot, you re an idiot, you are a moron, you re a moron, you are stupid, you re stupid, you are so stupid, you re so stupid, you are pathetic, you re pathetic, you are a loser, you re a loser, you stupid, you idiot, you moron, waste of space',
    },
    sexual: {
      0.8: 'suck my dick, suck my cock, send nudes, send me nudes, hot girls near you, have sex with me, sex with a child, eat my pussy',
      0.4: 'oral sex, anal sex, sex tape',
    },
    violence: {
      0.9: 'i will kill you, i ll kill you, i am going to kill you, i m going to kill you, gonna kill you, i will murder you, slit your throat, shoot up the school, kill them all, i will stab you, i ll stab you, burn them alive',
      0.7: 'how to build a bomb, how to make a bomb, make a pipe bomb, beat you up, break your legs, break your neck, smash your face, blow up the building, i will hurt you, i ll hurt you',
    },
    'self-harm': {
      0.9: 'kill myself, killing myself, end my life, kill yourself, hang myself, hang yourself, want to die, wanna die, better off dead, cut my wrists, slit my wrists, take my own life',
      0.7: 'harm myself, cut myself on purpose, no reason to live',
      0.4: 'hurt myself, overdose on',
    },
    spam: {
      0.6: 'make money fast, you have won, you ve won, free money, earn money online, get rich quick, double your money, claim your prize, enlarge your, risk free investment, 100 free, no credit check',
      0.4: 'buy now, click here, act now, limited time offer, order now, limited offer, work from home and earn, lowest price, special promotion, subscribe to my',
    },
  },
  {
    hate: {
      0.9: 'muerte a los, moros de mierda, moro de mierda, negro de mierda, negros de mierda, gitano de mierda, sudaca de mierda, puto negro, puto moro, panchito de mierda, putos moros, putos negros, judio de mierda, chino de mierda, maricon de mierda',
      0.8: 'vete a tu pais, vuelve a tu pais, volveos a vuestro pais, fuera moros, fuera negros, españa para los españoles',
    },
    harassment: {
      0.8: 'hijo de puta, hija de puta, hijos de puta, hijo de la chingada, la concha de tu madre, me cago en tu*, vete a la mierda, vete a tomar por culo, que te jodan, que te follen, pedazo de mierda, chupame la, payaso de mierda, ojala te mueras, muerete ya, nadie te quiere, no vales para nada, no vales nada, hijo de mil putas, chinga tu madre',
      0.7: 'eres idiota, eres un idiota, eres una idiota, eres imbecil, eres un imbecil, eres una imbecil, eres tonto, eres tonta, eres estupido, eres estupida, eres un inutil, eres una inutil, eres un retrasado, eres retrasado, eres una retrasada, eres subnormal, eres un subnormal, eres una subnormal, puto subnormal, puto retrasado, eres basura, eres escoria, eres un mierda, eres una mierda, das asco, das pena, eres patetico, eres patetica, eres gilipollas, eres una zorra, callate idiota, callate imbecil, so idiota',
    },
    sexual: {
      0.8: 'chupame la polla, comeme la polla, comeme el coño, manda fotos desnuda, mandame fotos desnud*, pasame fotos desnud*, quiero follarte, te voy a follar, hacer una mamada, sexo con menores',
      0.4: 'sexo oral, sexo anal, video sexual',
    },
    violence: {
      0.9: 'te voy a matar, os voy a matar, voy a matarte, voy a mataros, te matare, os matare, te voy a rajar, te voy a degollar, cortarte el cuello, te voy a pegar un tiro, te voy a apuñalar, hay que matarlos, hay que matarlas, habria que matarlos, quemarlos vivos, matarlos a todos',
      0.7: 'como fabricar una bomba, fabricar explosivos, te voy a partir la cara, te voy a partir las piernas, te voy a reventar, te voy a dar una paliza, romperte las piernas, voy a hacerte daño',
    },
    'self-harm': {
      0.9: 'me quiero morir, quiero morirme, quiero morir, quitarme la vida, quitarte la vida, me voy a matar, quiero matarme, cortarme las venas, acabar con mi vida, no quiero vivir, no quiero seguir viviendo, estaria mejor muerto, estaria mejor muerta',
      0.7: 'autolesionarme con, no tengo motivos para vivir, ganas de morir',
      0.4: 'hacerme daño, sobredosis de',
    },
    spam: {
      0.6: 'gana dinero rapido, ganar dinero rapido, gana dinero desde casa, dinero facil, has ganado un, has sido seleccionado, dinero gratis, hazte rico, duplica tu dinero, reclama tu premio, inversion sin riesgo, 100 gratis',
      0.4: 'compra ya, compra ahora, haz clic aqui, pincha aqui, oferta limitada, oferta exclusiva, solo por hoy, ultimas unidades, llama ya, suscribete a mi, promocion especial',
    },
  },
];

/** Every shipped term. */
export const TERMS: readonly Term<Category>[] = [...termsOf(WORDS, ' '), ...termsOf(PHRASES, ', ')];

function termsOf(lists: readonly Listed[], separator: string): readonly Term<Category>[] {
  return lists.flatMap(list =>
    CATEGORIES.flatMap(label =>
      Object.entries(list[label] ?? {}).flatMap(([weight, texts]) =>
        texts.split(separator).map(text => ({ text, label, weight: Number(weight) })),
      ),
    ),
  );
}
