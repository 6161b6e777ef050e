// How the guards read and change their documents: whole lists, and read-modify-write guarded by the version.

import { DomainError } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { DocumentQuery, StoredDocument } from '../store/rows.ts';
import type { Store } from '../store/store.ts';

/** The slice of the store that keeps small named records. */
export type Documents = Pick<Store, 'documents' | 'putDocuments'>;

/** Which document. */
export interface DocumentRef {
  readonly tenant: TenantId;
  readonly kind: string;
  readonly id: string;
}

const PAGE = 1_000;
const CONTENDERS_MAX = 16;

/** All documents of a kind, of one tenant or of all. */
export async function everyDocument(
  store: Pick<Store, 'documents'>,
  query: Pick<DocumentQuery, 'kind' | 'tenant'>,
): Promise<readonly StoredDocument[]> {
  const all: StoredDocument[] = [];
  for (;;) {
    const page = await store.documents({ ...query, limit: PAGE, offset: all.length });
    all.push(...page);
    if (page.length < PAGE) return all;
  }
}

/** One document, or null. */
export async function oneDocument(
  store: Pick<Store, 'documents'>,
  ref: DocumentRef,
): Promise<StoredDocument | null> {
  const [found] = await store.documents({ kind: ref.kind, tenant: ref.tenant, ids: [ref.id] });
  return found ?? null;
}

/** Applies a change to what is there, again if another writer came first; throws `not_found`, and `conflict` when it never gets in. */
export async function changeDocument(
  store: Documents,
  ref: DocumentRef,
  change: (body: JsonObject) => JsonObject,
): Promise<JsonObject> {
  for (let attempt = 0; attempt < CONTENDERS_MAX; attempt += 1) {
    const found = await oneDocument(store, ref);
    if (found === null)
      throw new DomainError('not_found', `there is no such ${ref.kind.replaceAll('_', ' ')}`);
    const body = change(found.body);
    const expiry = found.expiresAt === null ? {} : { expiresAt: found.expiresAt };
    const [outcome] = await store.putDocuments([{ ...ref, body, expected: found.version, ...expiry }]);
    if (outcome?.status === 'done') return body;
  }
  throw new DomainError('conflict', `the ${ref.kind.replaceAll('_', ' ')} is being changed by others`);
}

/** Writes a document that must not exist yet; false where it does. */
export async function createDocument(
  store: Documents,
  ref: DocumentRef,
  body: JsonObject,
  expiresAt?: number,
): Promise<boolean> {
  const expiry = expiresAt === undefined ? {} : { expiresAt };
  const [outcome] = await store.putDocuments([{ ...ref, body, expected: 'absent', ...expiry }]);
  return outcome?.status === 'done';
}
