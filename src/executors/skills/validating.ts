// The pipeline a content is judged by before it is published (CVP, `BLOG-45` to `BLOG-58`): steps one after another, each with a score and
// what it has against the content. It can stop after any step and go on from there.

import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { VALIDATORS } from '../../domain/skill.ts';
import { QUALITY_POINTS, type QualityPoint, qualityOf } from '../../domain/text/quality.ts';
import { moderationOf } from '../../guards/content/moderation.ts';
import { personalDataIn } from '../../guards/content/personal-data.ts';
import { analyzed } from './seo.ts';

/** Something against a content, or worth a word. */
export interface Issue {
  readonly severity: 'error' | 'warning' | 'info';
  readonly code: string;
  readonly message: string;
  readonly field?: string;
  readonly suggestion?: string;
}

/** What a step found. */
export interface StepResult {
  readonly passed: boolean;
  readonly score: number;
  readonly issues: readonly Issue[];
  readonly suggestions?: readonly string[];
}

/** A step as it stands. */
export interface Step {
  readonly id: string;
  readonly name: string;
  readonly order: number;
  readonly required: boolean;
  readonly status: 'pending' | 'running' | 'passed' | 'failed' | 'skipped';
  readonly result?: StepResult;
  /** Why it found nothing: it broke down. */
  readonly fault?: string;
}

/** Everything found before a step, which the last one goes by. */
export interface Findings {
  readonly issues: readonly Issue[];
  readonly score: number;
  /** Whether a step that must be passed was not. */
  readonly isFailed: boolean;
}

const SEO_PASSED = 60;
const SEO_GOOD = 80;
const QUALITY_PASSED = 70;
const RECOMMENDED_MAX = 20;
const ISSUES_MAX = 1_000;

/** The steps of a validation in their order: those given, else all (`BLOG-48`, `BLOG-49`). */
export function stepsOf(given: Json | undefined): readonly Step[] {
  const all = VALIDATORS.map((one, index) => ({ ...one, order: index + 1 }));
  const steps = Array.isArray(given) ? (given as unknown as readonly Step[]) : all;
  return [...steps]
    .sort((one, other) => one.order - other.order)
    .map(({ id, name, order, required }) => ({ id, name, order, required, status: 'pending' }));
}

/** The step after it was taken; whatever it throws is its fault, not the validation's. */
export async function taken(
  step: Step,
  content: Json,
  before: Findings,
  hooks: ValidatingHooks,
): Promise<Step> {
  try {
    const result = await judged(step.id, content, before, hooks);
    return { ...step, status: result.passed ? 'passed' : 'failed', result };
  } catch (error) {
    return { ...step, status: 'failed', fault: error instanceof Error ? error.message : String(error) };
  }
}

/** What steps need of the world. */
export interface ValidatingHooks {
  /** Whether a model's moderation flags the text; absent without a model. */
  readonly moderates?: (text: string) => Promise<boolean>;
}

/** What the steps found so far. */
export function findingsOf(steps: readonly Step[]): Findings {
  const scores = steps.flatMap(({ result }) => (result === undefined ? [] : [result.score]));
  const issues = steps.flatMap(({ result, fault, name }): readonly Issue[] =>
    fault === undefined
      ? (result?.issues ?? [])
      : [{ severity: 'error', code: 'VALIDATION_ERROR', message: `Step ${name} failed: ${fault}` }],
  );
  const sum = scores.reduce((all, one) => all + one, 0);
  return {
    issues,
    score: scores.length === 0 ? 0 : sum / scores.length,
    isFailed: steps.some(({ required, status }) => required && status === 'failed'),
  };
}

/** Whether a step ends the run (`BLOG-55`, `BLOG-56`). */
export function endsRun({ required, status }: Step): boolean {
  return required && status === 'failed';
}

/** The result of a validation (`BLOG-57`, `BLOG-58`). */
export function verdictOf(steps: readonly Step[]): JsonObject {
  const { issues, score, isFailed } = findingsOf(steps);
  return {
    approved: !isFailed && !issues.some(({ severity }) => severity === 'error'),
    score: Math.round(score * 100) / 100,
    issues: issues.map(issue => ({ ...issue })),
    recommendations: recommendationsOf(steps),
  };
}

/** The steps' suggestions and their issues', in order, each once. */
function recommendationsOf(steps: readonly Step[]): readonly string[] {
  const all = steps.flatMap(({ result }) => [
    ...(result?.suggestions ?? []),
    ...(result?.issues ?? []).flatMap(({ suggestion }) => (suggestion === undefined ? [] : [suggestion])),
  ]);
  return [...new Set(all)].slice(0, RECOMMENDED_MAX);
}

/** As it travels: what only this server knows of a step left out. */
export function shown({ fault: _, ...step }: Step): JsonObject {
  return step as unknown as JsonObject;
}

async function judged(
  id: string,
  content: Json,
  before: Findings,
  hooks: ValidatingHooks,
): Promise<StepResult> {
  switch (id as (typeof VALIDATORS)[number]['id']) {
    case 'schema-validation':
      return bySchema(content);
    case 'moderation':
      return byModeration(content, hooks);
    case 'seo-analysis':
      return bySeo(content);
    case 'quality-check':
      return byQuality(content);
    case 'final-approval':
      return byItself(before);
  }
}

function bySchema(content: Json): StepResult {
  const faults = schemaFaults(content);
  if (faults.length === 0) return { passed: true, score: 100, issues: [] };
  return {
    ...{ passed: false, score: 0 },
    issues: faults.map(({ field, message }) => ({
      ...{ severity: 'error', code: 'SCHEMA_INVALID', message: `Content does not match schema: ${message}` },
      ...{ field, suggestion: 'Fix validation errors' },
    })),
  };
}

function schemaFaults(content: Json): readonly { readonly field: string; readonly message: string }[] {
  if (!isJsonObject(content)) return [{ field: 'content', message: 'it must be an object' }];
  const { title, content: text, tags } = content;
  const isTitled = typeof title === 'string' && title.trim() !== '' && title.length <= 200;
  const hasTags = tags === undefined || (Array.isArray(tags) && tags.every(tag => typeof tag === 'string'));
  return [
    ...(isTitled ? [] : [{ field: 'title', message: 'title must have 1 to 200 characters' }]),
    ...(typeof text === 'string' && text.trim() !== ''
      ? []
      : [{ field: 'content', message: 'content must be a text' }]),
    ...(hasTags ? [] : [{ field: 'tags', message: 'tags must be a list of texts' }]),
  ];
}

async function byModeration(content: Json, { moderates }: ValidatingHooks): Promise<StepResult> {
  const text = textIn(content, 'content');
  const isFlagged = moderationOf(text).flagged || (moderates !== undefined && (await moderates(text)));
  if (!isFlagged) return { passed: true, score: 100, issues: [] };
  const issue = {
    severity: 'error',
    code: 'CONTENT_FLAGGED',
    message: 'Content flagged by moderation',
  } as const;
  return { passed: false, score: 0, issues: [{ ...issue, field: 'content' }] };
}

function bySeo(content: Json): StepResult {
  const fields = isJsonObject(content) ? content : {};
  const keywords = (fields.keywords ?? fields.tags) as Json | undefined;
  const { score } = analyzed({
    ...{ title: textIn(content, 'title'), content: textIn(content, 'content') },
    ...(typeof fields.metaDescription === 'string' ? { metaDescription: fields.metaDescription } : {}),
    ...(Array.isArray(keywords) ? { keywords: keywords.map(String) } : {}),
  });
  return seoResult(score);
}

/** What a score of 0–100 for search engines means (`BLOG-52`). */
export function seoResult(score: number): StepResult {
  return {
    ...{ passed: score >= SEO_PASSED, score },
    issues:
      score >= SEO_PASSED
        ? []
        : [
            {
              ...{ severity: 'warning', code: 'LOW_SEO_SCORE', message: `SEO score is ${score}/100` },
              suggestion: 'Improve title, meta description, and keywords',
            },
          ],
    suggestions: score >= SEO_GOOD ? [] : ['Add more keywords', 'Improve readability', 'Add internal links'],
  };
}

const WEIGHTS: Readonly<Record<QualityPoint | 'privacy', number>> = {
  length: 0.25,
  readability: 0.2,
  structure: 0.2,
  repetition: 0.2,
  privacy: 0.15,
};
const ADVICE: Readonly<Record<QualityPoint | 'privacy', string>> = {
  length: 'Write more: at least 150 words',
  readability: 'Use shorter sentences and simpler words',
  structure: 'Part the text by headings and shorter paragraphs',
  repetition: 'Repeat yourself less',
  privacy: 'Take out personal data',
};
const WEAK_BELOW = 70;

function byQuality(content: Json): StepResult {
  const text = textIn(content, 'content');
  const { points, readability } = marksOf(text);
  const score = Math.round(
    Object.entries(WEIGHTS).reduce((sum, [point, weight]) => sum + weight * (points[point] ?? 0), 0),
  );
  const weak = [...QUALITY_POINTS, 'privacy' as const].filter(
    point => (point === 'readability' ? readability : (points[point] ?? 0)) < WEAK_BELOW,
  );
  if (score >= QUALITY_PASSED)
    return { passed: true, score, issues: [], suggestions: weak.map(point => ADVICE[point]) };
  return {
    ...{ passed: false, score, suggestions: weak.map(point => ADVICE[point]) },
    issues: [
      {
        ...{ severity: 'error', code: 'LOW_QUALITY_SCORE', message: `Quality score is ${score}/100` },
        field: 'content',
      },
    ],
  };
}

/** The marks of a text; one that is as easy as a newspaper has nothing to gain from being easier. */
function marksOf(text: string): {
  readonly points: Readonly<Record<string, number>>;
  readonly readability: number;
} {
  const { points } = qualityOf(text);
  const found = personalDataIn(text).length;
  const readability = Math.min(100, Math.round((points.readability / 50) * 100));
  return { points: { ...points, readability, privacy: Math.max(0, 100 - 50 * found) }, readability };
}

/** Passes by itself where nothing was found that must not be (`BLOG-54`); what it gives is what there was. */
function byItself({ issues, isFailed, score }: Findings): StepResult {
  const passed = !isFailed && !issues.some(({ severity }) => severity === 'error');
  return {
    ...{ passed, score: Math.round(score * 100) / 100 },
    issues: passed
      ? []
      : [{ severity: 'error', code: 'NOT_APPROVED', message: 'Content has errors and is not approved' }],
  };
}

/**
 * A step as a person or an agent elsewhere judged it: `told` is how that ended. A person's word is for or against all that was found before
 * (`BLOG-54`); an agent gives a result, or the step has failed as one that breaks down does (`BLOG-56`).
 */
export function judgedElsewhere(
  step: Step,
  { by, state, output, error }: JsonObject,
  before: Findings,
): Step {
  if (by === 'person') {
    const result = byPerson(state === 'completed', before);
    return { ...step, status: result.passed ? 'passed' : 'failed', result };
  }
  const result = state === 'completed' ? resultIn(output) : null;
  if (result !== null) return { ...step, status: result.passed ? 'passed' : 'failed', result };
  const silence = state === 'completed' ? 'its validator gave no result' : `its validator ended ${state}`;
  return { ...step, status: 'failed', fault: typeof error === 'string' && error !== '' ? error : silence };
}

function byPerson(isApproved: boolean, { score: before }: Findings): StepResult {
  const score = Math.round(before * 100) / 100;
  if (isApproved) return { passed: true, score, issues: [] };
  return {
    ...{ passed: false, score },
    issues: [{ severity: 'error', code: 'NOT_APPROVED', message: 'A person did not approve the content' }],
  };
}

/** A result as an agent gave it, what is no part of one left out; null where it is none (`BLOG-46`, `BLOG-47`). */
function resultIn(output: Json | undefined): StepResult | null {
  const { passed, score, issues = [], suggestions = [] } = isJsonObject(output) ? output : {};
  if (typeof passed !== 'boolean' || typeof score !== 'number' || !(score >= 0 && score <= 100)) return null;
  if (!Array.isArray(issues) || !issues.every(isIssue) || !Array.isArray(suggestions)) return null;
  return {
    ...{ passed, score },
    issues: issues.slice(0, ISSUES_MAX),
    suggestions: suggestions.filter(one => typeof one === 'string').slice(0, RECOMMENDED_MAX),
  };
}

function isIssue(value: unknown): value is Issue {
  const { severity, code, message, field = '', suggestion = '' } = isJsonObject(value) ? value : {};
  const isSevere = severity === 'error' || severity === 'warning' || severity === 'info';
  return isSevere && [code, message, field, suggestion].every(one => typeof one === 'string');
}

function textIn(content: Json, field: string): string {
  const found = isJsonObject(content) ? content[field] : undefined;
  if (typeof found === 'string') return found;
  throw new Error(`${field} is no text`);
}
