// The built-in validator: the rules put together, and a model beside them where one is configured.

import type { ModelProvider } from '../../engine/ports/model-provider.ts';
import type { PayloadCheck } from '../../engine/ports/schemas.ts';
import type {
  ValidationIssue,
  ValidationOrder,
  ValidationRule,
  ValidationVerdict,
  Validator,
} from '../../engine/ports/validator.ts';
import type { Clock } from '../../runtime/clock.ts';
import { formatCheck } from './format.ts';
import { modelReview } from './model-review.ts';
import { orderOf } from './order.ts';
import { offendingCategories, policyCheck } from './policy.ts';
import { aspectsOf, likenessOf, meanOf } from './quality.ts';
import type { RuleFinding } from './rule-finding.ts';
import { hasWords, wholeText } from './texts.ts';

/** What it validates with. */
export interface ValidatorParts {
  readonly clock: Clock;
  readonly schemas: PayloadCheck;
  /** The first of them reviews beside the rules. */
  readonly models: readonly ModelProvider[];
}

const COPY_FROM = 0.8;
const ALIKE_FROM = 0.4;

/** Makes the validator. */
export function createValidator({ clock, schemas, models: [provider] }: ValidatorParts): Validator {
  return {
    orderOf,
    offencesIn: offendingCategories,
    async validate(order, signal) {
      const findings = await Promise.all(order.rules.map(rule => findingOf(rule, order, schemas)));
      const reviewed = provider === undefined ? null : await modelReview(provider, order, { clock, signal });
      return verdictOf(order, reviewed === null ? findings : [...findings, reviewed]);
    },
  };
}

/** The verdict that findings amount to: no error, and a mean that is high enough (`ARMY-29`). */
export function verdictOf(
  { scoreMin }: Pick<ValidationOrder, 'scoreMin'>,
  findings: readonly (Omit<RuleFinding, 'score'> & { readonly score: number | null })[],
): ValidationVerdict {
  const scores = findings.flatMap(({ score }) => (score === null ? [] : [{ score }]));
  const score = Math.round(meanOf(scores) * 100) / 100;
  const issues = findings.flatMap(finding => finding.issues);
  return {
    valid: score >= scoreMin && !issues.some(({ severity }) => severity === 'error'),
    score,
    issues,
    recommendations: [...new Set(findings.flatMap(finding => finding.recommendations))],
  };
}

async function findingOf(
  rule: ValidationRule,
  order: ValidationOrder,
  schemas: PayloadCheck,
): Promise<RuleFinding> {
  switch (rule) {
    case 'format_check':
      return formatCheck(order.content, order.expected, schemas);
    case 'quality_check':
      return qualityCheck(order);
    case 'policy_check':
      return policyCheck(order.content, order.personalDataAllowed);
  }
}

/** Each weak aspect is a warning with one recommendation (`ARMY-32`); a copy of something given is one too. */
function qualityCheck({ content, expected, against }: ValidationOrder): RuleFinding {
  const text = wholeText(content);
  // Figures are no text, and so no bad one.
  if (content !== null && typeof content !== 'string' && !hasWords(text))
    return { score: 1, issues: [], recommendations: [] };
  const aspects = aspectsOf(text, expected);
  const weak = aspects.flatMap(({ weakness }) => weakness ?? []);
  const copies = against
    .map(({ name, text: other }) => ({ name, likeness: likenessOf(text, other) }))
    .filter(({ likeness }) => likeness >= ALIKE_FROM);
  const originality = copies.map(({ likeness }) => ({ score: likeness >= COPY_FROM ? 0 : 1 - likeness }));
  return {
    score: meanOf([...aspects, ...originality]),
    issues: [
      ...weak.map(({ code, message }) => warning(code, message)),
      ...copies.map(({ name, likeness }) =>
        warning('DUPLICATE', `${Math.round(likeness * 100)} % of it is as in “${name}”`),
      ),
    ],
    recommendations: [
      ...weak.map(({ advice }) => advice),
      ...(copies.length === 0 ? [] : ['Say what the others do not.']),
    ],
  };
}

function warning(code: string, message: string): ValidationIssue {
  return { rule: 'quality_check', severity: 'warning', code, message };
}
