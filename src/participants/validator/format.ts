// Whether content has the form it was asked for (`ARMY-31`): JSON that parses and meets a schema, markdown and HTML that are well formed,
// and the sections that were named, each with text.

import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type Json } from '../../domain/json.ts';
import type { PayloadCheck } from '../../engine/ports/schemas.ts';
import type { ExpectedContent, ValidationIssue } from '../../engine/ports/validator.ts';
import { type Heading, htmlFaults, htmlHeadings } from './html.ts';
import { markdownFaults, markdownHeadings } from './markdown.ts';
import type { RuleFinding } from './rule-finding.ts';
import { foldedName, hasWords, textsOf, wholeText } from './texts.ts';

const ISSUES_MAX = 100;

/** Checks the form; each miss is an error, and the score is the share of what was asked for that is there. */
export async function formatCheck(
  content: Json,
  expected: ExpectedContent,
  schemas: PayloadCheck,
): Promise<RuleFinding> {
  const { sections = [], schema, format } = expected;
  const parsed = format === 'json' ? parsedOf(content) : { value: content, issues: [] };
  const form = parsed.issues.length > 0 ? parsed.issues : formIssues(content, format);
  const shape =
    schema === undefined || parsed.issues.length > 0 ? [] : await schemaIssues(parsed.value, schema, schemas);
  const missing = parsed.issues.length > 0 ? [] : missingSections(parsed.value, sections, format);
  const asked = 1 + sections.length + (schema === undefined ? 0 : 1);
  const missed = Math.min(1, form.length) + missing.length + Math.min(1, shape.length);
  return {
    score: parsed.issues.length > 0 ? 0 : 1 - missed / asked,
    issues: [...form, ...shape, ...missing].slice(0, ISSUES_MAX),
    recommendations: [],
  };
}

function parsedOf(content: Json): { readonly value: Json; readonly issues: readonly ValidationIssue[] } {
  if (typeof content !== 'string') return { value: content, issues: [] };
  try {
    return { value: JSON.parse(content) as Json, issues: [] };
  } catch (error) {
    return {
      value: null,
      issues: [fault('INVALID_JSON', `the content is no JSON: ${(error as Error).message}`)],
    };
  }
}

function formIssues(content: Json, format: string | undefined): readonly ValidationIssue[] {
  const check = format === 'markdown' ? markdownFaults : format === 'html' ? htmlFaults : null;
  if (check === null) return [];
  const code = format === 'markdown' ? 'INVALID_MARKDOWN' : 'INVALID_HTML';
  const issues: ValidationIssue[] = [];
  for (const { path, text } of textsOf(content)) {
    if (issues.length >= ISSUES_MAX) break;
    for (const message of check(text))
      issues.push({ ...fault(code, message), ...(path === '' ? {} : { path }) });
  }
  return issues;
}

async function schemaIssues(
  value: Json,
  schema: NonNullable<ExpectedContent['schema']>,
  schemas: PayloadCheck,
): Promise<readonly ValidationIssue[]> {
  await schemas.admit(schema, 'expected_output.schema');
  try {
    await schemas.check(schema, value, 'content');
    return [];
  } catch (error) {
    if (!(error instanceof DomainError) || error.code !== 'invalid_request') throw error;
    const errors = Array.isArray(error.details.errors) ? error.details.errors : [];
    if (errors.length === 0) return [fault('SCHEMA_MISMATCH', error.message)];
    return errors.filter(isJsonObject).map(({ field, message }) => ({
      ...fault('SCHEMA_MISMATCH', `${field} ${message}`),
      path: String(field).replace(/^content\.?/, ''),
    }));
  }
}

function missingSections(
  content: Json,
  sections: readonly string[],
  format: string | undefined,
): readonly ValidationIssue[] {
  if (sections.length === 0) return [];
  const found = sectionsOf(content, format);
  return sections.flatMap(name => {
    const hasText = found.get(foldedName(name));
    if (hasText === true) return [];
    const isEmpty = hasText === false;
    return [
      fault(
        isEmpty ? 'EMPTY_SECTION' : 'MISSING_SECTION',
        isEmpty ? `the section “${name}” has no text` : `there is no section “${name}”`,
      ),
    ];
  });
}

/** The sections there are, by folded name, and whether they have text. */
function sectionsOf(content: Json, format: string | undefined): ReadonlyMap<string, boolean> {
  if (isJsonObject(content))
    return new Map(
      Object.entries(content).map(([name, member]) => [
        foldedName(name),
        typeof member === 'number' || hasWords(wholeText(member ?? '')),
      ]),
    );
  const text = wholeText(content);
  return filled(format === 'html' ? htmlHeadings(text) : markdownHeadings(text, format === 'text'));
}

/** A section has text where some stands before the next heading that is not beneath its own. */
function filled(headings: readonly Heading[]): ReadonlyMap<string, boolean> {
  const found = new Map<string, boolean>();
  headings.forEach(({ name, level }, index) => {
    let at = index;
    let hasText = false;
    do {
      hasText ||= hasWords(headings[at]?.text ?? '');
      at++;
    } while (!hasText && (headings[at]?.level ?? 0) > level);
    const folded = foldedName(name);
    found.set(folded, hasText || found.get(folded) === true);
  });
  return found;
}

function fault(code: string, message: string): ValidationIssue {
  return { rule: 'format_check', severity: 'error', code, message };
}
