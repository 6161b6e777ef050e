// Ways through the pages of a list (`SAM-157`): which page comes next, and when there is none. Pure: it sends nothing.

import { createHash } from 'node:crypto';
import { DomainError } from '../../domain/errors.ts';
import type { Json } from '../../domain/json.ts';
import type { Pagination } from './payload.ts';

/** Why there are no more pages: the list's own end, or what the task or common sense set. */
export type StopReason = 'end' | 'max_pages' | 'max_items' | 'max_bytes' | 'repeated';

/** What a page's request differs by from that of the task: its query, or its whole URL. */
export interface PageStep {
  readonly query: Readonly<Record<string, string>>;
  readonly url: string | null;
}

/** A page that came. */
export interface Page {
  /** Where it came from. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly items: readonly Json[];
  readonly cursor: Json;
}

const CURSOR_LENGTH_MAX = 8_192;

/** Goes through the pages of one list; remembers where it was, so that a list that leads in a circle ends. */
export class Pager {
  readonly #pagination: Pagination;
  readonly #seen = new Set<string>();
  #position: number;
  #digest = '';

  constructor(pagination: Pagination) {
    this.#pagination = pagination;
    const isNumbered = pagination.type === 'page' || pagination.type === 'offset';
    this.#position = isNumbered ? (pagination.start ?? (pagination.type === 'page' ? 1 : 0)) : 0;
  }

  first(): PageStep {
    return this.#numbered();
  }

  /** True for a page whose items are those of the page before: the server does not know the parameter. */
  repeats({ items }: Page): boolean {
    if (this.#pagination.type === 'cursor' || this.#pagination.type === 'link' || items.length === 0)
      return false;
    const digest = createHash('sha256').update(JSON.stringify(items)).digest('base64');
    const isSame = digest === this.#digest;
    this.#digest = digest;
    return isSame;
  }

  /** The next page, or why there is none; throws `task_failed` for a next page on another origin. */
  next(page: Page): PageStep | StopReason {
    const pagination = this.#pagination;
    switch (pagination.type) {
      case 'page':
      case 'offset': {
        const count = page.items.length;
        if (count === 0 || (pagination.size !== undefined && count < pagination.size)) return 'end';
        this.#position += pagination.type === 'page' ? 1 : count;
        return this.#numbered();
      }
      case 'cursor':
        return this.#byCursor(page, pagination.parameter);
      case 'link': {
        const target = nextLink(page.headers.link ?? '');
        return target === null ? 'end' : this.#byUrl(page, target);
      }
    }
  }

  #numbered(): PageStep {
    const pagination = this.#pagination;
    if (pagination.type === 'cursor' || pagination.type === 'link') return { query: {}, url: null };
    const {
      type,
      size,
      parameter = type,
      size_parameter = type === 'page' ? 'per_page' : 'limit',
    } = pagination;
    return {
      query: {
        [parameter]: String(this.#position),
        ...(size === undefined ? {} : { [size_parameter]: String(size) }),
      },
      url: null,
    };
  }

  #byCursor(page: Page, parameter: string | undefined): PageStep | StopReason {
    const { cursor } = page;
    if (cursor === null || cursor === '' || cursor === false) return 'end';
    if (typeof cursor !== 'string' && typeof cursor !== 'number') {
      throw new DomainError('task_failed', 'pagination.cursor is neither text nor a number');
    }
    const text = String(cursor);
    if (text.length > CURSOR_LENGTH_MAX) {
      throw new DomainError('task_failed', `a cursor is longer than ${CURSOR_LENGTH_MAX} characters`);
    }
    if (parameter === undefined) return this.#byUrl(page, text);
    if (this.#seen.has(text)) return 'repeated';
    this.#seen.add(text);
    return { query: { [parameter]: text }, url: null };
  }

  #byUrl(page: Page, target: string): PageStep | StopReason {
    const url = URL.parse(target, page.url);
    if (url === null) throw new DomainError('task_failed', 'the next page is not at a URL');
    if (url.origin !== new URL(page.url).origin) {
      throw new DomainError('task_failed', `the next page is on another origin, ${url.host}`, {
        details: { host: url.host },
      });
    }
    if (url.href === page.url || this.#seen.has(url.href)) return 'repeated';
    this.#seen.add(url.href);
    return { query: {}, url: url.href };
  }
}

/** The target of `rel="next"` in a Link header (RFC 8288), or null. */
export function nextLink(header: string): string | null {
  for (const [, target = '', parameters = ''] of header.matchAll(/<([^<>]{0,8192})>((?:[^<>"]|"[^"]*")*)/g)) {
    const relations = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,]+))/i.exec(parameters);
    const names = (relations?.[1] ?? relations?.[2] ?? '').toLowerCase().split(/\s+/);
    if (names.includes('next')) return target;
  }
  return null;
}
