// What is wrong with a payload, said field by field: selectors that do not parse, steps and rules that contradict each other, templates
// that refer to nothing.

import { DomainError } from '../../domain/errors.ts';
import type { TaskSpec } from '../../domain/task.ts';
import {
  BROWSER_STEPS,
  fullRule,
  type Pagination,
  type Rules,
  type Step,
  type WebPayload,
} from './payload.ts';
import { referencesIn } from './templates.ts';

interface Fault {
  readonly field: string;
  readonly message: string;
}

/** The payload, typed; its schema was checked before. Throws `invalid_request` with every fault in `details.errors`. */
export async function checkPayload(
  spec: Pick<TaskSpec, 'payload' | 'secretNames' | 'variables'>,
): Promise<WebPayload> {
  const payload = payloadOf(spec);
  const faults = [
    ...pageFaults(payload),
    ...ruleFaults(payload),
    ...stepFaults(payload, spec),
    ...(await selectorFaults([...selectorsIn(payload)])),
  ];
  const [first] = faults;
  if (first !== undefined) {
    const errors = faults.map(({ field, message }) => ({ field, message }));
    throw new DomainError('invalid_request', `${first.field} ${first.message}`, { details: { errors } });
  }
  return payload;
}

/** The payload of a task that was checked. */
export function payloadOf({ payload }: Pick<TaskSpec, 'payload'>): WebPayload {
  return payload as unknown as WebPayload;
}

/** Fields that only a browser can do; none for a job on static pages. */
export function browserNeeds({ steps = [], options = {} }: WebPayload): readonly string[] {
  return [
    ...steps.flatMap((step, index) => {
      const needs = BROWSER_STEPS.has(step.type) || (step.type === 'wait' && step.selector !== undefined);
      return needs ? [`task_data.steps.${index} (${step.type})`] : [];
    }),
    ...(options.wait_for === undefined ? [] : ['task_data.options.wait_for']),
    ...(options.scroll === true ? ['task_data.options.scroll'] : []),
  ];
}

/** The addresses a payload names outright, to be judged before it is queued. */
export function literalUrls({
  target_url: one,
  target_urls: many = [],
  steps = [],
}: WebPayload): readonly string[] {
  const named = steps.flatMap(step => {
    const url = step.type === 'goto' || step.type === 'download' ? step.url : undefined;
    return url === undefined || isTemplate(url) ? [] : [url];
  });
  return [...(one === undefined ? [] : [one]), ...many, ...named.filter(url => /^https?:/i.test(url))];
}

function* pageFaults({ target_url: one, target_urls: many, steps = [] }: WebPayload): Generator<Fault, void> {
  if (one !== undefined && many !== undefined)
    yield { field: 'task_data.target_urls', message: 'must be absent where there is a target_url' };
  if (one === undefined && many === undefined && steps[0]?.type !== 'goto')
    yield { field: 'task_data.target_url', message: 'is required unless the first step is a goto' };
  if (one !== undefined && !isHttpUrl(one))
    yield { field: 'task_data.target_url', message: 'is not an http or https URL' };
  for (const [index, url] of (many ?? []).entries())
    if (!isHttpUrl(url))
      yield { field: `task_data.target_urls.${index}`, message: 'is not an http or https URL' };
}

function* ruleFaults(payload: WebPayload): Generator<Fault, void> {
  const { extraction_rules: rules, item_selector: items, pagination, steps = [] } = payload;
  if (rules !== undefined || steps.some(({ type }) => type === 'extract')) return;
  const message = 'goes with extraction_rules or an extract step';
  if (pagination !== undefined) yield { field: 'task_data.pagination', message };
  if (items !== undefined) yield { field: 'task_data.item_selector', message };
}

interface Named {
  readonly field: string;
  readonly selector: string;
  /** Whether it is for a browser alone, which knows more pseudo-classes than the parser of static pages. */
  readonly inBrowser: boolean;
}

function* selectorsIn(payload: WebPayload): Generator<Named, void> {
  const { extraction_rules, item_selector, pagination, steps = [], options = {} } = payload;
  const extraction = { rules: extraction_rules, item_selector, pagination };
  yield* selectorsOf(extraction, 'task_data', 'extraction_rules');
  if (options.wait_for !== undefined)
    yield { field: 'task_data.options.wait_for', selector: options.wait_for, inBrowser: true };
  for (const [index, step] of steps.entries()) {
    const field = `task_data.steps.${index}`;
    if (step.type === 'extract') yield* selectorsOf(step, field, 'rules');
    else if ('selector' in step && step.selector !== undefined)
      yield { field: `${field}.selector`, selector: step.selector, inBrowser: step.type !== 'download' };
  }
}

interface Selecting {
  readonly rules?: Rules | undefined;
  readonly item_selector?: string | undefined;
  readonly pagination?: Pagination | undefined;
}

function* selectorsOf(
  { rules = {}, item_selector, pagination }: Selecting,
  field: string,
  name: string,
): Generator<Named, void> {
  for (const [key, rule] of Object.entries(rules)) {
    const path = `${field}.${name}.${key}${typeof rule === 'string' ? '' : '.selector'}`;
    yield { field: path, selector: fullRule(rule).selector, inBrowser: false };
  }
  if (item_selector !== undefined)
    yield { field: `${field}.item_selector`, selector: item_selector, inBrowser: false };
  if (pagination !== undefined)
    yield {
      field: `${field}.pagination.page_selector`,
      selector: pagination.page_selector,
      inBrowser: false,
    };
}

async function selectorFaults(selectors: readonly Named[]): Promise<Fault[]> {
  if (selectors.length === 0) return [];
  // The parser is loaded when first needed.
  const { selectorFault } = await import('./driver/selectors.ts');
  return selectors.flatMap(({ field, selector, inBrowser }) => {
    const message = selectorFault(selector, { inBrowser });
    return message === null ? [] : [{ field, message }];
  });
}

type Given = Pick<TaskSpec, 'secretNames' | 'variables'>;

function* stepFaults(payload: WebPayload, given: Given): Generator<Fault, void> {
  const saved = new Set<string>();
  for (const [index, step] of (payload.steps ?? []).entries()) {
    const field = `task_data.steps.${index}`;
    yield* fieldFaults(step, field, payload);
    for (const [name, text] of templatesOf(step)) {
      for (const reference of referencesIn(text)) {
        const known: Record<string, readonly string[]> = {
          secrets: given.secretNames,
          variables: Object.keys(given.variables),
          results: [...saved],
        };
        if (reference === null)
          yield { field: `${field}.${name}`, message: 'refers to neither secrets, variables nor results' };
        else if (known[reference.root]?.includes(reference.name) !== true)
          yield {
            field: `${field}.${name}`,
            message: `refers to ${reference.root}.${reference.name}, which this task has not`,
          };
      }
    }
    if (step.save_as !== undefined) saved.add(step.save_as);
  }
}

function* fieldFaults(step: Step, field: string, payload: WebPayload): Generator<Fault, void> {
  if (step.type === 'extract') {
    if (step.rules === undefined && payload.extraction_rules === undefined)
      yield { field: `${field}.rules`, message: 'is required where there are no extraction_rules' };
    return;
  }
  if (step.type === 'goto' && !isTemplate(step.url) && !isHttpUrl(step.url))
    yield { field: `${field}.url`, message: 'is not an http or https URL' };
  if (step.type === 'select' && (step.value === undefined) === (step.values === undefined))
    yield { field, message: 'must have exactly one of value and values' };
  if (step.type === 'wait' && (step.selector === undefined) === (step.seconds === undefined))
    yield { field, message: 'must have exactly one of selector and seconds' };
  if (step.type === 'download' && (step.selector === undefined) === (step.url === undefined))
    yield { field, message: 'must have exactly one of selector and url' };
}

/** The fields in which templates are replaced. */
function* templatesOf(step: Step): Generator<readonly [string, string], void> {
  if ('url' in step && step.url !== undefined) yield ['url', step.url];
  if ('value' in step && step.value !== undefined) yield ['value', step.value];
  if ('values' in step)
    for (const [index, value] of (step.values ?? []).entries()) yield [`values.${index}`, value];
}

function isTemplate(text: string): boolean {
  return referencesIn(text).length > 0;
}

function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}
