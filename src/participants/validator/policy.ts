// What content must not say (`ARMY-33`): offences, personal data, and what demeans whole groups of people. Nothing of what was found is
// repeated but where it stands.

import type { Json } from '../../domain/json.ts';
import type { ValidationIssue } from '../../engine/ports/validator.ts';
import { biasIn } from '../../guards/content/bias.ts';
import { offencesIn } from '../../guards/content/moderation.ts';
import { personalDataIn } from '../../guards/content/personal-data.ts';
import type { RuleFinding } from './rule-finding.ts';
import { textsOf } from './texts.ts';

const ISSUES_MAX = 100;
const COST = { offence: 1, personalData: 0.5, bias: 0.2 };

/** Checks every text of the content; offences and personal data are errors, bias only lowers the score (`ARMY-74`). */
export function policyCheck(content: Json, isPersonalDataAllowed: boolean): RuleFinding {
  const issues: ValidationIssue[] = [];
  let cost = 0;
  let isBiased = false;
  const add = (path: string, one: Omit<ValidationIssue, 'rule' | 'path'>, price: number): void => {
    cost += price;
    if (issues.length < ISSUES_MAX)
      issues.push({ rule: 'policy_check', ...one, ...(path === '' ? {} : { path }) });
  };
  for (const { path, text } of textsOf(content)) {
    for (const category of offendingCategories(text))
      add(
        path,
        { severity: 'error', code: 'OFFENSIVE_CONTENT', message: `it offends: ${category}` },
        COST.offence,
      );
    if (!isPersonalDataAllowed)
      for (const kind of new Set(personalDataIn(text).map(one => one.kind)))
        add(
          path,
          {
            severity: 'error',
            code: `PERSONAL_DATA_${kind.toUpperCase()}`,
            message: `it holds personal data: ${kind.replaceAll('_', ' ')}`,
          },
          COST.personalData,
        );
    for (const { code } of biasIn(text)) {
      isBiased = true;
      add(path, { severity: 'warning', code, message: 'it demeans a group of people as such' }, COST.bias);
    }
  }
  return {
    score: Math.max(0, 1 - cost),
    issues,
    recommendations: isBiased ? ['Say of people what they do, not what their group is said to be.'] : [],
  };
}

/** In which ways content offends. */
export function offendingCategories(content: Json): readonly string[] {
  const found = textsOf(content).flatMap(({ text }) => offencesIn(text).map(({ category }) => category));
  return [...new Set(found)];
}
