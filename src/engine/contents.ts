// The contents of a tenant: versioned, changed by tasks, each change once, and published only as they were approved. Until there is a
// memory to hold them they are documents.

import { hash } from 'node:crypto';
import { DomainError } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../domain/json.ts';
import { CONTENT_ACTIONS, type ContentAction } from '../domain/skill.ts';
import type { StoredDocument } from '../store/rows.ts';
import type { Store } from '../store/store.ts';

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

const KIND = 'content';
const VERSION_KIND = 'content_version';
const VERDICT_KIND = 'content_verdict';
const TRIES_MAX = 5;
const SEARCHED_MAX = 2_000;

/** Keeps contents. */
export class Contents {
  readonly #store: Pick<Store, 'documents' | 'putDocuments'>;

  constructor(store: Pick<Store, 'documents' | 'putDocuments'>) {
    this.#store = store;
  }

  /** The content; null where there is none, or none any more. */
  async find(tenant: TenantId, contentId: string): Promise<Content | null> {
    const document = await this.#document(tenant, contentId);
    return document === null ? null : contentOf(document);
  }

  /** Published contents, at most 2,000. */
  async published(tenant: TenantId): Promise<readonly Content[]> {
    const documents = await this.#store.documents({ tenant, kind: KIND, limit: SEARCHED_MAX });
    return documents
      .map(contentOf)
      .filter(one => one !== null && one.state === 'published') as readonly Content[];
  }

  /** Throws why a change cannot be: `not_found`, `conflict`, `invalid_request`, and `unprocessable` for what nobody approved (`BLOG-22`). */
  async require(tenant: TenantId, order: ContentOrder): Promise<Content | null> {
    const { action, contentId, content } = order;
    if (action === 'create_content') {
      if (content === undefined) throw lacking('content');
      const known = contentId === undefined ? null : await this.find(tenant, contentId);
      if (known !== null) throw new DomainError('conflict', `there is a content ${contentId} already`);
      return null;
    }
    if (contentId === undefined) throw lacking('contentId');
    const known = await this.find(tenant, contentId);
    if (known === null)
      throw new DomainError('not_found', `there is no content ${contentId}`, {
        details: { errors: [{ field: 'contentId', message: 'names no content' }] },
      });
    if (action === 'update_content' && content === undefined) throw lacking('content');
    if (action === 'publish_content' && !(await this.isApproved(tenant, contentId, known.content)))
      throw new DomainError('unprocessable', `content ${contentId} was not approved as it stands`, {
        details: { contentId, version: known.version, hint: 'have the reviewer validate it first' },
      });
    return known;
  }

  /** Makes the change, the same task's only once; answers what is told of it. */
  async change(tenant: TenantId, order: ContentOrder, hand: ContentHand): Promise<JsonObject> {
    const contentId = order.contentId ?? hand.taskId;
    for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
      const before = await this.#document(tenant, contentId);
      if (before?.body.task === hand.taskId && isJsonObject(before.body.told)) return before.body.told;
      const known = await this.require(tenant, order);
      const after = changed(known, { ...order, contentId }, hand, before);
      const outcomes = await this.#store.putDocuments([
        { tenant, kind: KIND, id: contentId, body: after, expected: before?.version ?? 'absent' },
        {
          ...{ tenant, kind: VERSION_KIND, id: `${contentId}@${after.change}` },
          ...{ body: after, expected: 'absent' },
        },
      ]);
      if (outcomes[0]?.status === 'done') return after.told;
    }
    throw new DomainError('unavailable', `content ${contentId} is being changed by many at once`);
  }

  /** Notes how a validation of exactly this content ended. */
  async noteVerdict(
    tenant: TenantId,
    contentId: string,
    content: unknown,
    verdict: { readonly approved: boolean; readonly at: number },
  ): Promise<void> {
    await this.#store.putDocuments([
      { tenant, kind: VERDICT_KIND, id: verdictId(contentId, content), body: { contentId, ...verdict } },
    ]);
  }

  /** Whether the last validation of exactly this content approved it. */
  async isApproved(tenant: TenantId, contentId: string, content: unknown): Promise<boolean> {
    const ids = [verdictId(contentId, content)];
    const [verdict] = await this.#store.documents({ tenant, kind: VERDICT_KIND, ids });
    return verdict?.body.approved === true;
  }

  async #document(tenant: TenantId, contentId: string): Promise<StoredDocument | null> {
    const [found] = await this.#store.documents({ tenant, kind: KIND, ids: [contentId] });
    return found ?? null;
  }
}

type Kept = JsonObject & { readonly change: number; readonly told: JsonObject };

function changed(
  known: Content | null,
  { action, contentId, content }: ContentOrder & { readonly contentId: string },
  { taskId, at }: ContentHand,
  before: StoredDocument | null,
): Kept {
  const isPublished = action === 'publish_content';
  const says = content ?? known?.content ?? {};
  const version = (known?.version ?? 0) + (isPublished || action === 'delete_content' ? 0 : 1);
  const publishedAt = isPublished ? at : (known?.publishedAt ?? null);
  const told: JsonObject = {
    ...{ event: CONTENT_ACTIONS[action], contentId, version },
    title: typeof says.title === 'string' ? says.title : null,
    ...(isPublished ? { publishedAt: new Date(at).toISOString() } : {}),
  };
  const state = action === 'delete_content' ? 'deleted' : isPublished ? 'published' : 'draft';
  const change = Number(before?.body.change ?? 0) + 1;
  return { contentId, content: says, version, state, publishedAt, updatedAt: at, task: taskId, change, told };
}

function contentOf({ id, body }: StoredDocument): Content | null {
  const { content, version, state, publishedAt } = body;
  if (!isJsonObject(content) || (state !== 'draft' && state !== 'published')) return null;
  return {
    ...{ contentId: id, content, state, version: Number(version) },
    publishedAt: typeof publishedAt === 'number' ? publishedAt : null,
  };
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
