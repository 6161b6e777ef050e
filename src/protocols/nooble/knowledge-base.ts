// Knowledge bases of tenants, kept by the memory of the server: a base is a collection of its own, a document a record in passages. What
// agents remember beside is never found here.

import type { TenantId } from '../../domain/ids.ts';
import type { RecordName } from '../../domain/record.ts';
import type { Memory } from '../../engine/memory/memory.ts';
import type { SearchHit } from '../../engine/memory/search.ts';
import type { Clock } from '../../runtime/clock.ts';
import type {
  KnowledgeBase,
  KnowledgeDocument,
  KnowledgeFinding,
  KnowledgeHit,
  KnowledgePassage,
  KnowledgeQuery,
} from './knowledge.ts';
import { agentOf } from './worker.ts';

const PREFIX = 'knowledge/';
const OWNER = agentOf('knowledge_base');
const PAGE = 200;
/** What all matches are counted by, whatever is asked. */
const FACETS = ['author', 'document_type'];

/** Keeps knowledge in the memory. */
export class Knowledge implements KnowledgeBase {
  readonly #memory: Memory;
  readonly #clock: Clock;

  constructor(memory: Memory, clock: Clock) {
    this.#memory = memory;
    this.#clock = clock;
  }

  async search(tenant: TenantId, query: KnowledgeQuery): Promise<KnowledgeFinding> {
    const { kbIds, documentTypes, metadata, changed, limit, reranking, isSensitive = false } = query;
    const begun = this.#clock.now();
    const found = await this.#memory.search({
      ...{ tenant, owner: OWNER, by: 'chunk', type: query.searchType, text: query.query, limit, reranking },
      isSensitive,
      ...{ metadata, changed, weights: { semantic: query.semanticWeight, keyword: query.keywordWeight } },
      ...(kbIds === undefined ? {} : { collections: [...new Set(kbIds)].map(collectionOf) }),
      ...(documentTypes === undefined ? {} : { metadataAnyOf: { document_type: documentTypes } }),
      facets: [...new Set([...FACETS, ...Object.keys(metadata)])],
    });
    const { hits, total, facets, related, queryVectorId, warnings } = found;
    const unknown = found.unknown.map(name => `there is no knowledge base ${name.slice(PREFIX.length)}`);
    return {
      ...{ total, facets, relatedQueries: related, queryVectorId },
      hits: hits.map(hitOf),
      indexesSearched: found.searched
        .filter(name => name.startsWith(PREFIX))
        .map(name => name.slice(PREFIX.length)),
      warnings: [...unknown, ...warnings.filter(one => !one.startsWith('there is no collection '))],
      tookMs: this.#clock.now() - begun,
    };
  }

  async upsert(tenant: TenantId, document: KnowledgeDocument): Promise<number> {
    const { kbId, id, type, content, metadata } = document;
    const { chunks } = await this.#memory.learn({
      ...{ tenant, collection: collectionOf(kbId), owner: OWNER, id, content },
      metadata: { ...metadata, document_type: type },
    });
    return chunks;
  }

  async remove(tenant: TenantId, kbId: string, documentId: string): Promise<number> {
    const name = { tenant, collection: collectionOf(kbId), key: documentId };
    const chunks = await this.#memory.passages(name);
    // Where it went meanwhile, there was nothing left to remove.
    return (await this.#memory.forget(name)) ? (chunks?.length ?? 0) : 0;
  }

  async passages(
    tenant: TenantId,
    documentId: string,
    chunks: readonly number[] | null,
  ): Promise<readonly KnowledgePassage[] | null> {
    const name = await this.#find(tenant, documentId);
    const all = name === null ? null : await this.#memory.passages(name);
    if (all === null) return null;
    const passages = all.map(({ content }, at) => ({ chunk: at + 1, text: content }));
    return chunks === null ? passages : passages.filter(({ chunk }) => chunks.includes(chunk));
  }

  /** The document of that id in whichever base has had it longest, or null. */
  async #find(tenant: TenantId, documentId: string): Promise<RecordName | null> {
    for (let after: number | null = 0; after !== null; ) {
      const page: Awaited<ReturnType<Memory['list']>> = await this.#memory.list({
        ...{ tenant, keyPrefix: documentId, owner: OWNER, after, limit: PAGE },
      });
      const found = page.records.find(({ key }) => key === documentId);
      if (found !== undefined) return found;
      after = page.next;
    }
    return null;
  }
}

function hitOf({ record, chunk, score, keywords, vectorId }: SearchHit): KnowledgeHit {
  return {
    ...{ documentId: record.key, chunkId: chunk.id, content: chunk.content, metadata: record.metadata },
    ...{ score, keywords, vectorId },
  };
}

function collectionOf(kbId: string): string {
  return `${PREFIX}${kbId}`;
}
