// What the built-in steps of a content pipeline find. A piece of content is an object with a title, text and tags; scores are 0–100.

import type { StepFinding } from '../../domain/content-pipeline.ts';
import { isJsonObject, type Json } from '../../domain/json.ts';
import { moderationOf } from '../../guards/content/moderation.ts';
import { personalDataIn } from '../../guards/content/personal-data.ts';
import { aspectsOf, meanOf } from './quality.ts';
import { hasWords } from './texts.ts';

const TITLE_MAX = 200;
const SEO = { passes: 60, good: 80 };
const QUALITY_PASSES = 70;
const WORDS_MIN = 300;
const PERSONAL_DATA_ADVICE = 'Take out what identifies people.';

/** A title of 1–200 characters, text, and tags that are strings (`BLOG-50`). */
export function schemaStep(content: Json): StepFinding {
  const { title, content: text, tags } = isJsonObject(content) ? content : {};
  const faults = [
    ...(isTitle(title) ? [] : [`title must be 1–${TITLE_MAX} characters`]),
    ...(typeof text === 'string' && text !== '' ? [] : ['content must be a text that is not empty']),
    ...(Array.isArray(tags) && tags.every(tag => typeof tag === 'string')
      ? []
      : ['tags must be an array of strings']),
  ];
  if (faults.length === 0) return { passed: true, score: 100, issues: [], suggestions: [] };
  const issue = { severity: 'error', code: 'SCHEMA_INVALID', message: faults.join('; ') } as const;
  return { passed: false, score: 0, issues: [issue], suggestions: [] };
}

/** Nothing that would be flagged (`BLOG-51`). */
export function moderationStep(content: Json): StepFinding {
  const { flagged, categories } = moderationOf(textOf(content));
  if (!flagged) return { passed: true, score: 100, issues: [], suggestions: [] };
  const named = Object.entries(categories).flatMap(([category, score]) => (score >= 0.5 ? [category] : []));
  const issue = {
    severity: 'error',
    code: 'CONTENT_FLAGGED',
    message: `it was flagged for ${named.join(', ')}`,
  } as const;
  return { passed: false, score: 0, issues: [issue], suggestions: [] };
}

/** Written well enough (`BLOG-53`): the mean of the aspects and of having no personal data. */
export function qualityStep(content: Json): StepFinding {
  const text = textOf(content);
  const aspects = aspectsOf(text, { wordsMin: WORDS_MIN });
  const isPrivate = personalDataIn(text).length > 0;
  const score = Math.round(100 * meanOf([...aspects, { score: isPrivate ? 0 : 1 }]));
  const weak = aspects.flatMap(({ weakness }) => weakness ?? []);
  const suggestions = [...weak.map(({ advice }) => advice), ...(isPrivate ? [PERSONAL_DATA_ADVICE] : [])];
  if (score >= QUALITY_PASSES) return { passed: true, score, issues: [], suggestions };
  const message = `its quality is ${score} of 100`;
  return {
    passed: false,
    score,
    issues: [{ severity: 'error', code: 'LOW_QUALITY_SCORE', message }],
    suggestions,
  };
}

/** Findable enough (`BLOG-52`); a low score is a warning. */
export function seoStep(score: number): StepFinding {
  const passed = score >= SEO.passes;
  const message = `its SEO score is ${score} of 100`;
  const suggestion = 'Improve the title, the meta description and the keywords.';
  return {
    passed,
    score,
    issues: passed ? [] : [{ severity: 'warning', code: 'LOW_SEO_SCORE', message, suggestion }],
    suggestions:
      score >= SEO.good
        ? []
        : ['Use more of the keywords.', 'Make it easier to read.', 'Add internal links.'],
  };
}

function isTitle(title: Json | undefined): boolean {
  return typeof title === 'string' && hasWords(title) && [...title].length <= TITLE_MAX;
}

function textOf(content: Json): string {
  const text = isJsonObject(content) ? content.content : content;
  return typeof text === 'string' ? text : '';
}
