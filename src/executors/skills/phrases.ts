// What texts without a model are made of, in English and Spanish: aspects of whatever a topic is, and sentences that speak of them.

/** One side of a topic. */
export interface Aspect {
  readonly heading: string;
  readonly subject: string;
  readonly action: string;
  readonly gain: string;
  readonly slip: string;
  readonly sign: string;
}

/** All that is said in one language; `{topic}` and an aspect's parts in braces stand for what they name. */
export interface Phrases {
  readonly title: string;
  readonly intro: readonly string[];
  readonly tones: Readonly<Record<string, string>>;
  readonly frames: readonly string[];
  readonly related: string;
  readonly close: readonly string[];
  readonly aspects: readonly Aspect[];
}

const aspects = (table: string): readonly Aspect[] =>
  table
    .trim()
    .split('\n')
    .map(line => {
      const [heading = '', subject = '', action = '', gain = '', slip = '', sign = ''] = line
        .split('|')
        .map(part => part.trim());
      return { heading, subject, action, gain, slip, sign };
    });

const ENGLISH: Phrases = {
  title: '{topic}: a practical guide',
  intro: [
    'This guide looks at {topic} step by step and keeps to what helps in daily work.',
    'It needs no special background, only some time and the wish to try things out.',
  ],
  tones: {
    professional: 'The aim is a sound basis for decisions.',
    educational: 'Each part builds on the one before, so take them in order.',
    casual: 'Grab a coffee, and let us get started.',
    friendly: 'Take what you like, and leave the rest for later.',
    persuasive: 'By the end you may well want to begin today.',
  },
  frames: [
    'When people speak of {topic}, {subject} is what they notice first, and it is worth a calm look.',
    'A good first step is to {action}, since small results that all can see keep everybody on board.',
    'Done well, this brings {gain}, and the effect grows with each week of practice.',
    'The usual slip is {slip}; it costs time and is hard to put right later.',
    'You can tell that it works by {sign}, which anyone can check without special tools.',
    'So make room for it: put one hour a week aside and hold on to that hour.',
    'Ask a friend to read your notes on {subject}, as fresh eyes find gaps that you no longer see.',
    'If you are in doubt, write down what you hope for, try it for a few days, and compare.',
  ],
  related: 'You may also like “{title}”, where we wrote: {sentence}',
  close: [
    'In short, {topic} pays off for those who start small and stay with it.',
    'Choose one idea from this page, try it this week, and see what it does for you.',
  ],
  aspects: aspects(`
    The big picture | the big picture | draw the main parts on one sheet of paper | a shared idea of the goal | to dive into details before the goal is clear | how fast a newcomer can say what it is all about
    Why it matters now | the moment | list what has changed over the last year | good reasons to act | to wait for a perfect moment | how often the subject comes up by itself
    First steps | a modest start | pick one small case and finish it | quick lessons at low cost | to plan for months and try nothing | the first result that somebody else can use
    The people behind it | the people involved | ask three of them what they need most | trust on all sides | to decide over their heads | how many of them come back with ideas
    Tools that help | the choice of tools | test two of them on real work | less effort for the same result | to buy first and think afterwards | the hours you save in a normal week
    Good habits | a steady habit | fix a day for a short review | progress that does not depend on luck | to skip the review when work piles up | how calm the busy weeks become
    Costs and value | the balance of cost and value | note what you spend and what you get | fair talks about money | to count only what can be paid in cash | a simple table that still makes sense next month
    Common worries | the worries people bring along | answer each of them in plain words | an open mood in the team | to laugh at doubts | how often old worries come up again
    Learning from others | the experience of others | read two honest reports and call one author | a shortcut past known traps | to copy without asking whether it fits | the number of traps you saw in time
    Measuring progress | a measure of progress | choose three numbers and watch them | early signs that something is wrong | to measure what is easy and not what counts | whether the numbers change what you do
    Limits and risks | an honest word on limits | write down what must never happen | safe room to try new things | to hide bad news | how early problems reach the right person
    What comes next | the road ahead | plan the next quarter and no more | a direction that can still change | to promise what nobody can know | how easily the plan takes in a surprise
  `),
};

const SPANISH: Phrases = {
  title: '{topic}: guía práctica',
  intro: [
    'Esta guía trata de {topic} paso a paso y se queda con lo que ayuda en el trabajo diario.',
    'No pide saber nada antes, solo algo de tiempo y ganas de probar.',
  ],
  tones: {
    professional: 'La meta es una base firme para decidir.',
    educational: 'Cada parte sigue a la anterior, así que conviene leerlas en orden.',
    casual: 'Coge un café y vamos allá.',
    friendly: 'Toma lo que te guste y deja el resto para luego.',
    persuasive: 'Al final quizá quieras empezar hoy mismo.',
  },
  frames: [
    'Cuando se habla de {topic}, lo primero que se nota es {subject}, y vale la pena mirarlo con calma.',
    'Un buen paso es {action}, pues un fruto que todos ven anima a seguir.',
    'Bien hecho, esto trae {gain}, y el efecto crece cada semana.',
    'El fallo de siempre es {slip}; cuesta tiempo y luego es duro de arreglar.',
    'Se ve que va bien por {sign}, algo que nadie tarda en comprobar.',
    'Por eso conviene hacerle sitio: guarda una hora a la semana y cuida esa hora.',
    'Pide a un amigo que lea tus notas sobre {subject}, pues otros ojos ven lo que tú ya no ves.',
    'Si dudas, escribe lo que esperas, prueba unos días y compara.',
  ],
  related: 'Quizá te guste también «{title}», donde decíamos: {sentence}',
  close: [
    'En suma, {topic} da fruto a quien empieza poco a poco y no lo deja.',
    'Elige una idea de esta página, pruébala esta semana y mira qué cambia.',
  ],
  aspects: aspects(`
    La idea general | la idea general | dibujar las partes en una sola hoja | una meta común | bajar al detalle sin tener clara la meta | lo poco que tarda alguien nuevo en contarlo
    Por qué importa hoy | el momento | apuntar lo que ha cambiado este año | buenas razones para moverse | esperar el momento perfecto | las veces que el tema sale solo
    Los primeros pasos | un comienzo modesto | tomar un caso pequeño y acabarlo | lecciones rápidas y baratas | hacer planes meses y no probar nada | el primer fruto que otra persona usa
    Las personas | la gente que toma parte | preguntar a tres de ellas qué les falta | confianza entre todos | decidir sin contar con ellas | las que vuelven con ideas
    Herramientas útiles | la elección de herramientas | probar dos de ellas en un caso real | menos esfuerzo para lo mismo | comprar primero y pensar luego | las horas que ganas en una semana normal
    Buenas costumbres | una costumbre firme | fijar un día para un repaso breve | avances que no dependen de la suerte | saltarse el repaso en los días malos | la calma de las semanas llenas
    Coste y valor | el trato entre coste y valor | anotar lo que pones y lo que sacas | charlas justas sobre dinero | contar solo lo que se paga | una tabla simple que aún se entiende al mes
    Dudas frecuentes | las dudas de la gente | dar a cada una palabras claras | un trato abierto en el grupo | reírse de las dudas | lo poco que vuelven las viejas dudas
    Lo que saben otros | lo que otros ya vivieron | leer dos relatos sinceros y llamar a quien los hizo | un atajo entre trampas sabidas | copiar sin ver si encaja | las trampas que viste a tiempo
    Medir el avance | una medida del avance | elegir tres números y mirarlos | señales antes del daño | medir lo fácil y no lo que cuenta | si los números cambian lo que haces
    Límites y riesgos | una palabra sincera sobre los límites | escribir lo que nunca debe pasar | sitio seguro para probar | callar las malas nuevas | lo pronto que un problema llega a quien debe
    Lo que viene | el camino que queda | trazar tres meses y no más | un rumbo que aún puede girar | jurar lo que nadie sabe | lo bien que el plan admite una sorpresa
  `),
};

/** What there is to say by language. */
export const PHRASES: Readonly<Record<'en' | 'es', Phrases>> = { en: ENGLISH, es: SPANISH };
