// Takes records out of a page's HTML by rules. Knows nothing of where the page came from; a browser's page and a fetched one give the
// same records for the same HTML.

import { type Cheerio, type CheerioAPI, load } from 'cheerio';
import type { AnyNode } from 'domhandler';
import type { Json, JsonObject } from '../../../domain/json.ts';
import { fullRule, type Rules } from '../payload.ts';
import { WebError } from '../web-error.ts';
import { collapse, readValue } from './values.ts';

/** What to take. */
export interface Extraction {
  readonly rules: Rules;
  readonly itemSelector?: string;
}

/** A page, parsed. */
export class ParsedPage {
  readonly #page: CheerioAPI;
  readonly #url: string;
  readonly #base: string;

  constructor(html: string, url: string) {
    this.#page = load(html, { baseURI: url });
    this.#url = url;
    const base = this.#page('base[href]').first().attr('href');
    this.#base = base !== undefined && URL.canParse(base, url) ? new URL(base, url).href : url;
  }

  /** The records in document order (`SAM-143`); throws `task_failed` naming URL and rule for a required one without a match. */
  records({ rules, itemSelector }: Extraction): JsonObject[] {
    const named = Object.entries(rules).map(([name, rule]) => ({ name, ...fullRule(rule) }));
    const records = itemSelector === undefined ? this.#paired(named) : this.#items(named, itemSelector);
    for (const { name, required, selector } of named) {
      const isMissing = records.length === 0 || records.some(record => isEmpty(record[name]));
      if (required && isMissing)
        throw new WebError('task_failed', `${this.#url}: the rule ${name} found nothing for "${selector}"`, {
          url: this.#url,
          rule: name,
        });
    }
    return records;
  }

  /** Where the next page is, if the page says so: an address, or null for an element that must be clicked; undefined at the end. */
  next(selector: string): { readonly url: string | null } | undefined {
    const found = this.#page(selector).first();
    if (found.length === 0 || isDisabled(found.add(found.find('a, button')).add(found.parent('li'))))
      return undefined;
    const isLink = found.is('a[href], link[href]');
    const href = (isLink ? found.attr('href') : found.find('a[href]').first().attr('href'))?.trim();
    if (href === undefined || href === '' || href.startsWith('#') || !URL.canParse(href, this.#base))
      return { url: null };
    const url = new URL(href, this.#base);
    return { url: /^https?:$/.test(url.protocol) ? url.href : null };
  }

  /** The address an element leads to, or null. */
  link(selector: string): string | null {
    const href = this.#page(selector).first().attr('href') ?? this.#page(selector).first().attr('src');
    return href !== undefined && URL.canParse(href, this.#base) ? new URL(href, this.#base).href : null;
  }

  #items(rules: readonly NamedRule[], itemSelector: string): JsonObject[] {
    return this.#page(itemSelector)
      .toArray()
      .map(item => {
        const values = rules.map(rule => {
          const found = this.#page(item).find(rule.selector).toArray();
          // A rule may mean the item itself.
          const matches = found.length === 0 && this.#page(item).is(rule.selector) ? [item] : found;
          return [rule.name, this.#value(rule, matches)] as const;
        });
        return Object.fromEntries(values);
      })
      .filter(record => Object.values(record).some(value => !isEmpty(value)));
  }

  /** Without items a new record begins where a field comes again: a record that lacks a field does not shift those after it. */
  #paired(rules: readonly NamedRule[]): JsonObject[] {
    const lists: Record<string, Json> = {};
    const matches: { readonly rule: NamedRule; readonly node: AnyNode }[] = [];
    for (const rule of rules) {
      const found = this.#page(rule.selector).toArray();
      if (rule.multiple) lists[rule.name] = this.#value(rule, found);
      else for (const node of found) matches.push({ rule, node });
    }
    const order = this.#documentOrder();
    matches.sort((one, other) => (order.get(one.node) ?? 0) - (order.get(other.node) ?? 0));
    const blank = Object.fromEntries(rules.map(({ name }) => [name, lists[name] ?? null]));
    const records: Record<string, Json>[] = [];
    const taken = new Set<string>();
    for (const { rule, node } of matches) {
      let record = records.at(-1);
      if (record === undefined || taken.has(rule.name)) {
        record = { ...blank };
        records.push(record);
        taken.clear();
      }
      taken.add(rule.name);
      record[rule.name] = this.#value(rule, [node]);
    }
    const isListed = Object.values(lists).some(value => !isEmpty(value));
    return records.length === 0 && isListed ? [blank] : records;
  }

  #documentOrder(): Map<AnyNode, number> {
    const order = new Map<AnyNode, number>();
    for (const node of this.#page('*').toArray()) order.set(node, order.size);
    return order;
  }

  #value(rule: NamedRule, nodes: readonly AnyNode[]): Json {
    if (rule.multiple) return nodes.map(node => this.#read(rule, node)).filter(value => value !== null);
    const [first] = nodes;
    return first === undefined ? null : this.#read(rule, first);
  }

  #read({ attribute, type }: NamedRule, node: AnyNode): Json {
    const element: Cheerio<AnyNode> = this.#page(node);
    if (attribute !== undefined) {
      const text = element.attr(attribute);
      if (text === undefined) return null;
      const isAddress = /^(?:href|src|action|poster)$/i.test(attribute) && type === 'string';
      return readValue(text, isAddress && URL.canParse(text, this.#base) ? 'url' : type, this.#base);
    }
    if (type === 'html') return element.html() ?? '';
    const text =
      type === 'url' ? (element.attr('href') ?? element.attr('src') ?? element.text()) : element.text();
    return readValue(text, type, this.#base);
  }
}

type NamedRule = { readonly name: string } & ReturnType<typeof fullRule>;

function isEmpty(value: Json | undefined): boolean {
  return (
    value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0)
  );
}

function isDisabled(whole: Cheerio<AnyNode>): boolean {
  return whole
    .filter('*')
    .toArray()
    .some(
      ({ attribs }) =>
        attribs.disabled !== undefined ||
        attribs['aria-disabled'] === 'true' ||
        collapse(attribs.class ?? '')
          .split(' ')
          .some(word => /^(?:is-|btn-)?(?:disabled|inactive)$/i.test(word)),
    );
}
