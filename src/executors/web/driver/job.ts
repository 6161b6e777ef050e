// One job from its first page to its output: opens pages, does the steps, follows pagination, keeps what was found.

import { createHash } from 'node:crypto';
import type { ErrorCode } from '../../../domain/errors.ts';
import type { Json, JsonObject } from '../../../domain/json.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { PAGES_DEFAULT, type Pagination, type Rules, type Step, type WebPayload } from '../payload.ts';
import { render, type Scope } from '../templates.ts';
import { failureOf, WebError } from '../web-error.ts';
import { type Extraction, ParsedPage } from './extract.ts';
import { dataFileName, inlineItems, type Noun, nounOf, rounded, summaryOf } from './harvest.ts';
import type { WebFile } from './messages.ts';
import type { Ask, Tab } from './tab.ts';

const PAGE_SECONDS = 60;
const ITEMS_MAX = 1_000_000;
const RESULT_CHARS_MAX = 200_000;
const FAILURE_CHARS_MAX = 2 * 1_048_576;
const FAILURE_MS_MAX = 1_000;
/** Failures of which a page shows nothing. */
const UNKEPT: ReadonlySet<ErrorCode> = new Set(['policy_violation', 'payload_too_large', 'internal']);

/** What a job works with. */
export interface JobParts {
  readonly clock: Clock;
  readonly ask: Ask;
  readonly tab: Tab;
  readonly payload: WebPayload;
  readonly secrets: Readonly<Record<string, string>>;
  readonly variables: Readonly<Record<string, string>>;
  readonly engine: 'browser' | 'http';
  readonly startedAt: number;
  readonly progress: (report: {
    readonly percentage: number;
    readonly step: string;
    readonly totalSteps: number;
    readonly intermediate?: Json;
  }) => void;
  readonly log: (message: string, metadata: JsonObject) => void;
}

/** What a page's extraction is told beside its rules. */
interface Harvest extends Extraction {
  readonly pagination: Pagination | undefined;
}

/** Does the job; throws a `WebError`, the page it failed on saved before. */
export async function runJob(parts: JobParts): Promise<JsonObject> {
  const job = new Job(parts);
  try {
    return await job.run();
  } catch (error) {
    await job.keepFailure(error);
    throw error;
  }
}

class Job {
  readonly #parts: JobParts;
  readonly #noun: Noun;
  readonly #startedAt: number;
  readonly #items: JsonObject[] = [];
  readonly #files: JsonObject[] = [];
  readonly #results: Record<string, Json> = {};
  readonly #fileNames = new Set<string>();
  #pages = 0;
  #done = 0;
  #failed = 0;
  #extracted = false;

  constructor(parts: JobParts) {
    this.#parts = parts;
    this.#noun = nounOf(parts.payload);
    this.#startedAt = parts.clock.monotonic();
  }

  async run(): Promise<JsonObject> {
    const { target_url: one, target_urls: many, steps = [], extraction_rules: rules } = this.#parts.payload;
    const [first, ...others] = many ?? (one === undefined ? [] : [one]);
    if (first !== undefined) await this.#open(first);
    for (const [index, step] of steps.entries()) await this.#step(step, index);
    const harvest = rules === undefined || this.#extracted ? null : this.#harvestOf({});
    if (harvest !== null) await this.#harvest(harvest);
    else if (first !== undefined && steps.length === 0) await this.#visit();
    for (const url of others) {
      await this.#open(url);
      if (rules === undefined) await this.#visit();
      else await this.#harvest(this.#harvestOf({}));
    }
    return await this.#output();
  }

  /** Saves the page a failure happened on, so that a person can see what the rules saw. */
  async keepFailure(error: unknown): Promise<void> {
    const { code, details } = failureOf(error);
    if (UNKEPT.has(code) || details.crashed === true) return;
    try {
      const html = await this.#parts.tab.html(FAILURE_MS_MAX);
      if (html === '') return;
      await this.#save({
        name: 'failure.html',
        type: 'report',
        mediaType: 'text/html',
        source: Buffer.from(this.#masked(html.slice(0, FAILURE_CHARS_MAX))),
      });
    } catch {
      // A page that cannot be read any more is part of the failure.
    }
  }

  async #step(step: Step, index: number): Promise<void> {
    const { steps = [] } = this.#parts.payload;
    if (step.type !== 'extract')
      this.#report(
        `Step ${index + 1} of ${steps.length}: ${step.type}`,
        steps.length,
        index / (steps.length + 1),
      );
    try {
      const value = await this.#perform(step);
      this.#done++;
      if (step.save_as !== undefined) this.#results[step.save_as] = value;
    } catch (error) {
      const { code, message } = failureOf(error);
      if (step.optional !== true || code === 'internal' || isFatal(error)) throw inStep(error, step, index);
      this.#done++;
      this.#failed++;
      this.#parts.log('an optional step failed', { step: index + 1, type: step.type, code, error: message });
      if (step.save_as !== undefined) this.#results[step.save_as] = null;
    }
  }

  async #perform(step: Step): Promise<Json> {
    const scope: Scope = { ...this.#parts, results: this.#results };
    const timeoutMs = (step.timeout ?? this.#pageSeconds()) * 1_000;
    if (step.type === 'goto') {
      await this.#open(render(step.url, scope), timeoutMs);
      return this.#parts.tab.url();
    }
    if (step.type === 'extract') {
      this.#extracted ||= step.rules === undefined;
      const records = await this.#harvest(this.#harvestOf(step));
      return [...inlineItems(records)];
    }
    const rendered = {
      ...step,
      ...('url' in step && step.url !== undefined ? { url: render(step.url, scope) } : {}),
      ...('value' in step && step.value !== undefined ? { value: render(step.value, scope) } : {}),
      ...('values' in step ? { values: step.values?.map(value => render(value, scope)) } : {}),
    } as typeof step;
    const { value, file } = await this.#parts.tab.perform(rendered, timeoutMs);
    if (file !== undefined) {
      const saved = await this.#save(file);
      this.#files.push(saved);
      return saved;
    }
    return plain(value);
  }

  async #open(url: string, timeoutMs = this.#pageSeconds() * 1_000): Promise<void> {
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
      throw new WebError('task_failed', `${url} is not an http or https URL`, { url });
    await this.#parts.ask('approach', { url });
    await this.#parts.tab.open(url, timeoutMs);
  }

  /** A page from which nothing is taken still counts. */
  async #visit(): Promise<void> {
    await this.#parts.tab.settle(undefined, this.#pageSeconds() * 1_000);
    this.#pages++;
    this.#done++;
  }

  #harvestOf(step: {
    readonly rules?: Rules | undefined;
    readonly item_selector?: string | undefined;
    readonly pagination?: Pagination | undefined;
  }): Harvest {
    const { extraction_rules: rules = {}, item_selector: items, pagination } = this.#parts.payload;
    // Rules of a step's own do not inherit what was meant for others.
    const own =
      step.rules === undefined ? { items, pagination } : { items: undefined, pagination: undefined };
    const itemSelector = step.item_selector ?? own.items;
    return {
      rules: step.rules ?? rules,
      pagination: step.pagination ?? own.pagination,
      ...(itemSelector === undefined ? {} : { itemSelector }),
    };
  }

  /** Takes the records of this page and of those that follow it, until there is none, or it was there before (`SAM-142`). */
  async #harvest(harvest: Harvest): Promise<readonly JsonObject[]> {
    const { tab } = this.#parts;
    const { pagination } = harvest;
    const pagesMax = pagination === undefined ? 1 : (pagination.max_pages ?? PAGES_DEFAULT);
    const visited = new Set<string>();
    const seen = new Set<string>();
    const found: JsonObject[] = [];
    for (let page = 1; page <= pagesMax; page++) {
      this.#report(`Extracting data from page ${page} of ${pagesMax}`, pagesMax, (page - 1) / pagesMax);
      const timeoutMs = this.#pageSeconds() * 1_000;
      await tab.settle(awaited(harvest), timeoutMs);
      const parsed = new ParsedPage(await tab.html(timeoutMs), tab.url());
      const records = parsed.records(harvest);
      visited.add(withoutHash(tab.url()));
      const digest = createHash('sha256').update(JSON.stringify(records)).digest('base64');
      // What is clicked may change nothing, or lead round and round.
      if (seen.has(digest) && (records.length > 0 || page > 1)) break;
      seen.add(digest);
      this.#take(records, found);
      this.#told(page, pagesMax, records.length);
      const next =
        pagination === undefined || page === pagesMax ? undefined : parsed.next(pagination.page_selector);
      if (next === undefined || pagination === undefined) break;
      if (next.url === null) {
        if (this.#parts.engine === 'http') break;
        await tab.click(pagination.page_selector, timeoutMs);
      } else if (visited.has(withoutHash(next.url))) break;
      else await this.#open(next.url);
    }
    return found;
  }

  #take(records: readonly JsonObject[], found: JsonObject[]): void {
    if (this.#items.length + records.length > ITEMS_MAX)
      throw new WebError('payload_too_large', `the pages hold more than ${ITEMS_MAX} records`);
    for (const record of records) {
      found.push(record);
      this.#items.push(record);
    }
    this.#pages++;
    this.#done++;
  }

  #told(page: number, pagesMax: number, count: number): void {
    const timestamp = new Date(this.#parts.clock.now()).toISOString();
    this.#report(`Extracting data from page ${page} of ${pagesMax}`, pagesMax, page / pagesMax, {
      page,
      [`${this.#noun.many}_extracted`]: count,
      timestamp,
    });
  }

  #report(step: string, totalSteps: number, fraction: number, intermediate?: Json): void {
    const percentage = Math.min(99, Math.floor(fraction * 100));
    this.#parts.progress({
      percentage,
      step,
      totalSteps,
      ...(intermediate === undefined ? {} : { intermediate }),
    });
  }

  async #output(): Promise<JsonObject> {
    const { engine, tab, startedAt } = this.#parts;
    const { many } = this.#noun;
    const seconds = Math.max(0.001, (this.#parts.clock.monotonic() - this.#startedAt) / 1_000);
    const isExtracting = this.#items.length > 0 || this.#parts.payload.extraction_rules !== undefined;
    const items = inlineItems(this.#items);
    const kept = isExtracting ? await this.#saveItems(dataFileName(this.#noun, startedAt)) : null;
    return {
      engine,
      total_items: this.#items.length,
      [`total_${many}`]: this.#items.length,
      pages_processed: this.#pages,
      ...(kept === null
        ? {}
        : {
            data_file: kept.name ?? null,
            data_file_artifact_id: kept.artifact_id ?? null,
            summary: summaryOf(this.#items),
            items,
            items_truncated: items.length < this.#items.length,
          }),
      files: this.#files,
      results: this.#results,
      final_url: tab.url(),
      pages_per_second: rounded(this.#pages / seconds),
      [`${many}_per_second`]: rounded(this.#items.length / seconds),
      error_rate: this.#done === 0 ? 0 : rounded(this.#failed / this.#done),
    };
  }

  async #saveItems(name: string): Promise<JsonObject> {
    const text = this.#masked(JSON.stringify(this.#items));
    return await this.#save({
      name,
      type: 'data_file',
      mediaType: 'application/json',
      source: Buffer.from(text),
    });
  }

  /** Names are unique in a task's output: a second screenshot.png becomes screenshot-2.png. */
  async #save(file: WebFile): Promise<JsonObject> {
    let { name } = file;
    for (let turn = 2; this.#fileNames.has(name); turn++) name = file.name.replace(/(\.\w+)?$/, `-${turn}$1`);
    this.#fileNames.add(name);
    return await this.#parts.ask('save', { ...file, name });
  }

  #masked(text: string): string {
    return Object.values(this.#parts.secrets).reduce(
      (masked, secret) => (secret === '' ? masked : masked.replaceAll(secret, '***')),
      text,
    );
  }

  #pageSeconds(): number {
    return this.#parts.payload.options?.page_timeout ?? PAGE_SECONDS;
  }
}

/** What must be on a page before its records are: scripts may bring it later. */
function awaited({ rules, itemSelector }: Harvest): string | undefined {
  if (itemSelector !== undefined) return itemSelector;
  const [first] = Object.values(rules);
  return typeof first === 'string' ? first : first?.selector;
}

function isFatal(error: unknown): boolean {
  return failureOf(error).details.crashed === true;
}

function inStep(error: unknown, { type }: Step, index: number): unknown {
  if (!(error instanceof WebError)) return error;
  return new WebError(
    error.code,
    `step ${index + 1} (${type}): ${error.message}`,
    { ...error.details, step: index + 1, step_type: type },
    error,
  );
}

function withoutHash(url: string): string {
  return url.replace(/#.*$/, '');
}

/** What a page answered, as JSON and of a size that can be told. */
function plain(value: unknown): Json {
  if (value === undefined) return null;
  const text = JSON.stringify(value) ?? 'null';
  if (text.length > RESULT_CHARS_MAX)
    throw new WebError('payload_too_large', `a result has more than ${RESULT_CHARS_MAX} characters`);
  const parsed: unknown = JSON.parse(text);
  return parsed as Json;
}
