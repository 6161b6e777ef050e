// Texts about a topic, composed without a model from phrases and from what the tenant has published about it (`BLOG-24`): the same topic,
// tone and length always give the same text.

import { hash } from 'node:crypto';
import { sentencesOf } from '../../domain/text/passages.ts';
import { languageOf, stemsOf } from '../../domain/text/words.ts';
import { type Aspect, PHRASES, type Phrases } from './phrases.ts';
import { textOf } from './similarity.ts';

/** How long a text is to be. */
export type Length = 'short' | 'medium' | 'long';

/** What is to be written. */
export interface GenerateInput {
  readonly topic: string;
  readonly tone?: string;
  readonly length?: Length;
}

/** What was written. */
export interface GeneratedContent {
  readonly title: string;
  readonly content: string;
  readonly excerpt: string;
  readonly tags: readonly string[];
  readonly wordCount: number;
  readonly generator: 'model' | 'template';
}

/** Words a text has about. */
export const WORDS_WANTED: Readonly<Record<Length, number>> = { short: 300, medium: 800, long: 1_500 };
const EXCERPT_MAX = 155;
const TAGS_MAX = 5;

/** A content that is near the topic. */
export interface Related {
  readonly title: string;
  readonly content: string;
}

/** Writes it. */
export function composed(input: GenerateInput, related: readonly Related[]): GeneratedContent {
  const topic = input.topic.trim().replace(/\s+/g, ' ');
  const phrases = PHRASES[languageOf(topic) ?? 'en'];
  const wanted = WORDS_WANTED[input.length ?? 'medium'];
  const put = filling(topic);
  const parts = [introduction(phrases, input.tone, put), ...mentions(phrases, related, put)];
  const close = phrases.close.map(one => put(one)).join(' ');
  const turn = hash('sha256', topic, 'buffer')[0] ?? 0;
  for (const [index, aspect] of turned(phrases.aspects, turn).entries()) {
    const missing = wanted - wordCountOf([...parts, close].join(' '));
    if (missing < 20) break;
    parts.push(section(phrases, aspect, { put, missing, turn: turn + index * 3 }));
  }
  return finished(put(phrases.title), [...parts, close].join('\n\n'), topic, 'template');
}

/** A text with what goes with it, whoever wrote it. */
export function finished(
  title: string,
  content: string,
  topic: string,
  generator: GeneratedContent['generator'],
): GeneratedContent {
  const tags = [...new Set(topicWords(topic))].slice(0, TAGS_MAX);
  return {
    ...{ title: capitalized(title).slice(0, 200), content, generator },
    ...{ excerpt: excerptOf(content), tags, wordCount: wordCountOf(content) },
  };
}

/** Words of a text, marks of headings not counted. */
export function wordCountOf(text: string): number {
  return text.match(/[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu)?.length ?? 0;
}

function introduction(
  { intro, tones }: Phrases,
  tone: string | undefined,
  put: (text: string) => string,
): string {
  const known = tone !== undefined && Object.hasOwn(tones, tone) ? tones[tone] : undefined;
  return [...intro, ...(known === undefined ? [] : [known])].map(put).join(' ');
}

function mentions(
  { related: words }: Phrases,
  related: readonly Related[],
  put: (text: string) => string,
): string[] {
  return related.slice(0, 2).flatMap(({ title, content }) => {
    const [sentence] = sentencesOf(textOf({ content }));
    return sentence === undefined
      ? []
      : [
          put(words)
            .replace('{title}', () => title)
            .replace('{sentence}', () => sentence),
        ];
  });
}

function section(
  { frames }: Phrases,
  aspect: Aspect,
  how: {
    readonly put: (text: string, aspect?: Aspect) => string;
    readonly missing: number;
    readonly turn: number;
  },
): string {
  const sentences: string[] = [];
  let words = wordCountOf(aspect.heading);
  for (const frame of turned(frames, how.turn)) {
    if (words >= how.missing) break;
    const sentence = how.put(frame, aspect);
    sentences.push(sentence);
    words += wordCountOf(sentence);
  }
  const half = Math.ceil(sentences.length / 2);
  const paragraphs = [sentences.slice(0, half), sentences.slice(half)].filter(one => one.length > 0);
  return [`## ${aspect.heading}`, ...paragraphs.map(one => one.join(' '))].join('\n\n');
}

function filling(topic: string): (text: string, aspect?: Aspect) => string {
  // Inside a sentence an article is small.
  const inside = topic.replace(/^(?:The|An?|El|La|L[oa]s|Una?)(?= )/, article => article.toLowerCase());
  return (text, aspect) =>
    capitalized(
      text.replace(/\{(\w+)\}/g, (whole, name: string) =>
        name === 'topic'
          ? inside
          : ((aspect as Readonly<Record<string, string>> | undefined)?.[name] ?? whole),
      ),
    );
}

function excerptOf(content: string): string {
  const [first = ''] = sentencesOf(textOf({ content }));
  if (first.length <= EXCERPT_MAX) return first;
  return `${first.slice(0, EXCERPT_MAX - 1).replace(/\s+\S*$/, '')}…`;
}

function topicWords(topic: string): readonly string[] {
  const telling = new Set(stemsOf(topic));
  return (topic.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).filter(
    word => word.length > 1 && telling.has(stemsOf(word)[0] ?? ''),
  );
}

function turned<One>(all: readonly One[], by: number): readonly One[] {
  const from = all.length === 0 ? 0 : by % all.length;
  return [...all.slice(from), ...all.slice(0, from)];
}

function capitalized(text: string): string {
  return text.replace(/^\p{Ll}/u, letter => letter.toUpperCase());
}
