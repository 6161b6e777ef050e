// How well a page may be found: checks with points each, by rules alone, so that the same page always scores the same (`BLOG-27`).

import { readabilityOf } from '../../domain/text/quality.ts';
import { fold, stemsOf } from '../../domain/text/words.ts';
import { wordCountOf } from './generating.ts';
import { textOf } from './similarity.ts';

/** A page as it is looked at. */
export interface SeoInput {
  readonly title: string;
  readonly content: string;
  readonly metaDescription?: string;
  readonly keywords?: readonly string[];
}

/** One check. */
export interface SeoCheck {
  readonly id: 'title' | 'description' | 'keywords' | 'headings' | 'length' | 'links' | 'readability';
  readonly points: number;
  readonly pointsMax: number;
  readonly hint: string | null;
}

/** What was found. */
export interface SeoAnalysis {
  readonly score: number;
  readonly checks: readonly SeoCheck[];
}

/** Looks at a page; `score` is the sum of the points of all checks, 100 at most. */
export function analyzed({ title, content, metaDescription, keywords }: SeoInput): SeoAnalysis {
  const words = wordCountOf(content);
  const wanted =
    keywords !== undefined && keywords.length > 0 ? keywords : [...new Set(stemsOf(title))].slice(0, 5);
  const headings = content.match(/^#{1,6}\s+\S|<h[1-6][\s>]/gim)?.length ?? 0;
  const links =
    content.match(/\[[^[\]]{1,500}\]\([^()\s]{1,2000}\)|<a\s[^<>]{0,500}href|https?:\/\//gi)?.length ?? 0;
  const ease = readabilityOf(textOf({ content }));
  const checks: readonly SeoCheck[] = [
    check('title', 15, inRange(title.trim().length, 20, 70), 'Give it a title of 20 to 70 characters'),
    check(
      'description',
      15,
      metaDescription === undefined ? 0.4 : inRange(metaDescription.trim().length, 50, 160),
      'Write a meta description of 50 to 160 characters',
    ),
    check(
      'keywords',
      20,
      keywordShare(wanted, title, content),
      'Use the keywords in the title and in the text',
    ),
    check(
      'headings',
      15,
      words < 150 ? 1 : Math.min(1, headings / Math.ceil(words / 400)),
      'Part the text by headings',
    ),
    check('length', 15, Math.min(1, words / 300), 'Write at least 300 words'),
    check('links', 5, Math.min(1, links), 'Link to related pages'),
    check('readability', 15, Math.min(1, ease / 60), 'Use shorter sentences and simpler words'),
  ];
  return { score: checks.reduce((sum, { points }) => sum + points, 0), checks };
}

function check(id: SeoCheck['id'], pointsMax: number, share: number, hint: string): SeoCheck {
  const points = Math.round(pointsMax * Math.max(0, Math.min(1, share)));
  return { id, points, pointsMax, hint: points === pointsMax ? null : hint };
}

/** 1 inside, less the farther outside, 0 for nothing. */
function inRange(value: number, least: number, most: number): number {
  if (value === 0) return 0;
  if (value < least) return value / least;
  return value <= most ? 1 : Math.max(0.2, most / value);
}

/** Of the keywords those that the text has, half as much those that only the text or only the title has. */
function keywordShare(keywords: readonly string[], title: string, content: string): number {
  if (keywords.length === 0) return 0;
  const [inTitle, inText] = [new Set(stemsOf(title)), new Set(stemsOf(content))];
  const [titleText, text] = [fold(title), fold(content)];
  const has = (keyword: string, stems: ReadonlySet<string>, whole: string): boolean =>
    stemsOf(keyword).every(stem => stems.has(stem)) || whole.includes(fold(keyword));
  const marks = keywords.map(
    one => (has(one, inText, text) ? 0.6 : 0) + (has(one, inTitle, titleText) ? 0.4 : 0),
  );
  return marks.reduce((sum, one) => sum + one, 0) / keywords.length;
}
