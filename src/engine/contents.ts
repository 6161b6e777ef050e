// The contents of a tenant: versioned records in a collection of their own, changed by tasks, published only as they were approved. A
// change is decided here and happens with the end of the task that makes it, so that it is told exactly if it happened.

import { hash } from 'node:crypto';
import { DomainError } from '../domain/errors.ts';
import type { AgentId, TenantId } from '../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../domain/json.ts';
import type { MemoryRecord } from '../domain/record.ts';
import { CONTENT_ACTIONS, type ContentAction } from '../domain/skill.ts';
import type { Store } from '../store/store.ts';
import type { Memory } from './memory/memory.ts';
import type { AttemptEffect } from './ports/executor.ts';

/** A content as it stands. */
export interface Content {
  readonly contentId: string;
  readonly content: JsonObject;
  /** Grows by one at each change of what it says. */
  readonly version: number;
  readonly state: 'draft' | 'published';
  /** Epoch milliseconds; null before. */
  readonly publishedAt: number | null;
}

/** A change that is asked for. */
export interface ContentOrder {
  readonly action: ContentAction;
  /** Absent only where it is created: then the task's id. */
  readonly contentId?: string;
  readonly content?: JsonObject;
}

/** Who changes a content, when. */
export interface ContentHand {
  readonly taskId: string;
  readonly at: number;
}

/** A change as it is to happen, and what whoever asked is answered then. */
export interface ContentChange {
  readonly told: JsonObject;
  readonly effect: AttemptEffect;
}

/** What contents are kept in. */
export interface ContentsParts {
  readonly memory: Pick<Memory, 'recall' | 'list' | 'writeOf'>;
  readonly store: Pick<Store, 'documents' | 'putDocuments'>;
}

/** The collection that contents are records of (`BLOG-21`). */
export const CONTENT_COLLECTION = 'content';

const OWNER = 'executor' as AgentId;
const VERDICT_KIND = 'content_verdict';
const SEARCHED_MAX = 2_000;
const PAGE = 200;

/** Keeps contents. */
export class Contents {
  readonly #parts: ContentsParts;

  constructor(parts: ContentsParts) {
    this.#parts = parts;
  }

  /** The content; null where there is none, or none any more. */
  async find(tenant: TenantId, contentId: string): Promise<Content | null> {
    const record = await this.#record(tenant, contentId);
    return record === null ? null : contentOf(record);
  }

  /** Published contents, at most 2,000. */
  async published(tenant: TenantId): Promise<readonly Content[]> {
    const found: Content[] = [];
    for (let after: number | null = 0; after !== null && found.length < SEARCHED_MAX; ) {
      const page: Awaited<ReturnType<Memory['list']>> = await this.#parts.memory.list({
        ...{ tenant, collections: [CONTENT_COLLECTION], metadata: { state: 'published' } },
        ...{ after, limit: PAGE },
      });
      found.push(...page.records.map(contentOf));
      after = page.next;
    }
    return found;
  }

  /** Throws why a change cannot be: `not_found`, `conflict`, `invalid_request`, and `unprocessable` for what nobody approved (`BLOG-22`). */
  async require(tenant: TenantId, order: ContentOrder): Promise<void> {
    const known = order.contentId === undefined ? null : await this.find(tenant, order.contentId);
    await this.#require(tenant, order, known);
  }

  /** The change as it is to happen, if the content is then still what it is now; throws as `require`. */
  async decide(tenant: TenantId, order: ContentOrder, hand: ContentHand): Promise<ContentChange> {
    const { action, contentId = hand.taskId } = order;
    const before = await this.#record(tenant, contentId);
    const known = before === null ? null : contentOf(before);
    await this.#require(tenant, order, known);
    const after = changed(known, { ...order, contentId }, hand);
    const told: JsonObject = {
      ...{ contentId, title: typeof after.content.title === 'string' ? after.content.title : null },
      ...(action === 'publish_content' ? { publishedAt: new Date(hand.at).toISOString() } : {}),
    };
    const { content, version, state, publishedAt } = after;
    const name = { tenant, collection: CONTENT_COLLECTION, key: contentId };
    const expected = before?.version ?? 'absent';
    return {
      told: { event: CONTENT_ACTIONS[action], version, ...told },
      effect: {
        note: { name: CONTENT_ACTIONS[action], detail: told },
        record:
          action === 'delete_content'
            ? { ...name, record: null, expected }
            : await this.#parts.memory.writeOf({
                ...{ ...name, owner: OWNER, expected, metadata: { state } },
                value: { content, version, state, publishedAt },
              }),
      },
    };
  }

  /** Notes how a validation of exactly this content ended. */
  async noteVerdict(
    tenant: TenantId,
    contentId: string,
    content: unknown,
    verdict: { readonly approved: boolean; readonly at: number },
  ): Promise<void> {
    await this.#parts.store.putDocuments([
      { tenant, kind: VERDICT_KIND, id: verdictId(contentId, content), body: { contentId, ...verdict } },
    ]);
  }

  /** Whether the last validation of exactly this content approved it. */
  async isApproved(tenant: TenantId, contentId: string, content: unknown): Promise<boolean> {
    const ids = [verdictId(contentId, content)];
    const [verdict] = await this.#parts.store.documents({ tenant, kind: VERDICT_KIND, ids });
    return verdict?.body.approved === true;
  }

  async #require(
    tenant: TenantId,
    { action, contentId, content }: ContentOrder,
    known: Content | null,
  ): Promise<void> {
    if (action === 'create_content') {
      if (content === undefined) throw lacking('content');
      if (known !== null) throw new DomainError('conflict', `there is a content ${known.contentId} already`);
      return;
    }
    if (contentId === undefined) throw lacking('contentId');
    if (known === null)
      throw new DomainError('not_found', `there is no content ${contentId}`, {
        details: { errors: [{ field: 'contentId', message: 'names no content' }] },
      });
    if (action === 'update_content' && content === undefined) throw lacking('content');
    if (action !== 'publish_content') return;
    const isOther = content !== undefined && canonical(content) !== canonical(known.content);
    if (isOther || !(await this.isApproved(tenant, contentId, known.content)))
      throw new DomainError('unprocessable', `content ${contentId} was not approved as it stands`, {
        details: { contentId, version: known.version, hint: 'have the reviewer validate it first' },
      });
  }

  #record(tenant: TenantId, key: string): Promise<MemoryRecord | null> {
    return this.#parts.memory.recall({ tenant, collection: CONTENT_COLLECTION, key });
  }
}

function changed(
  known: Content | null,
  { action, contentId, content }: ContentOrder & { readonly contentId: string },
  { at }: ContentHand,
): Content {
  const isPublished = action === 'publish_content';
  const isRewritten = action === 'create_content' || action === 'update_content';
  return {
    contentId,
    content: (isRewritten ? content : known?.content) ?? {},
    version: (known?.version ?? 0) + (isRewritten ? 1 : 0),
    state: isPublished ? 'published' : 'draft',
    publishedAt: isPublished ? at : (known?.publishedAt ?? null),
  };
}

function contentOf({ key, value }: MemoryRecord): Content {
  return { contentId: key, ...(value as unknown as Omit<Content, 'contentId'>) };
}

function verdictId(contentId: string, content: unknown): string {
  return hash('sha256', `${contentId}\n${canonical(content)}`, 'hex');
}

/** The same text whatever order the members came in. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (!isJsonObject(value)) return JSON.stringify(value) ?? 'null';
  const members = Object.keys(value).sort();
  return `{${members.map(name => `${JSON.stringify(name)}:${canonical(value[name])}`).join()}}`;
}

function lacking(field: string): DomainError {
  return new DomainError('invalid_request', `${field} is required`, {
    details: { errors: [{ field, message: 'is required' }] },
  });
}
