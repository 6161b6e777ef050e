// What these services need of whoever keeps knowledge, and how it is asked for and told on this wire (`NOOB-73` to `NOOB-82`).

import type { TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';

/** A search as it is asked: weights scaled to 1, limits filled in. */
export interface KnowledgeQuery {
  readonly query: string;
  readonly searchType: 'hybrid' | 'semantic' | 'keyword';
  readonly semanticWeight: number;
  readonly keywordWeight: number;
  readonly reranking: boolean;
  /** Absent: all of the tenant. */
  readonly kbIds?: readonly string[];
  readonly documentTypes?: readonly string[];
  /** All must be equal. */
  readonly metadata: JsonObject;
  /** Only what changed later, earlier than these instants. */
  readonly changed: { readonly after?: number; readonly before?: number };
  readonly limit: number;
  /** Its words are neither embedded nor told to a model, and offered to nobody as an earlier query (`NOOB-33`). */
  readonly isSensitive?: boolean;
}

/** A passage found; `score` 0–1, best first. */
export interface KnowledgeHit {
  readonly documentId: string;
  readonly chunkId: string;
  readonly content: string;
  readonly metadata: JsonObject;
  readonly score: number;
  readonly keywords: readonly string[];
  readonly vectorId: string | null;
}

/** What a search found. */
export interface KnowledgeFinding {
  readonly hits: readonly KnowledgeHit[];
  /** Of all matches, those beyond the limit too. */
  readonly total: number;
  readonly indexesSearched: readonly string[];
  readonly queryVectorId: string | null;
  readonly tookMs: number;
  /** Counts of all matches by field and value. */
  readonly facets: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly relatedQueries: readonly string[];
  readonly warnings: readonly string[];
}

/** A document to keep. */
export interface KnowledgeDocument {
  readonly kbId: string;
  readonly id: string;
  readonly type: string;
  readonly content: string;
  readonly metadata: JsonObject;
}

/** Keeps documents of tenants in chunks, and finds them again. */
export interface KnowledgeBase {
  search(tenant: TenantId, query: KnowledgeQuery): Promise<KnowledgeFinding>;
  /** Replaces all chunks of the document at once; answers how many there are now. */
  upsert(tenant: TenantId, document: KnowledgeDocument): Promise<number>;
  /** Removes all chunks of the document at once; answers how many there were. */
  remove(tenant: TenantId, kbId: string, documentId: string): Promise<number>;
  /** Texts of a document in reading order, of these chunks (1 is the first) or all; null where there is no such document. */
  passages(
    tenant: TenantId,
    documentId: string,
    chunks: readonly number[] | null,
  ): Promise<readonly KnowledgePassage[] | null>;
}

/** Part of a document. */
export interface KnowledgePassage {
  /** 1 for the first. */
  readonly chunk: number;
  readonly text: string;
}

const LIMIT = 10;
const CONTENT_CUT = 300;

/** The query a `knowledge.search` asks (`NOOB-73` to `NOOB-78`). */
export function queryOf(payload: JsonObject): KnowledgeQuery {
  const config = objectOf(payload.search_config);
  const filter = objectOf(payload.filter);
  const options = objectOf(payload.request_options);
  const [semantic, keyword] = [numberOf(config.semantic_weight, 0.7), numberOf(config.keyword_weight, 0.3)];
  const sum = semantic + keyword;
  const { updated_after: after, updated_before: before, ...metadata } = objectOf(filter.metadata);
  return {
    query: String(payload.query),
    searchType: (config.search_type ?? 'hybrid') as KnowledgeQuery['searchType'],
    semanticWeight: semantic / sum,
    keywordWeight: keyword / sum,
    reranking: config.reranking === true,
    ...(Array.isArray(filter.kb_ids) ? { kbIds: filter.kb_ids.map(String) } : {}),
    ...(Array.isArray(filter.document_types) ? { documentTypes: filter.document_types.map(String) } : {}),
    metadata,
    changed: {
      ...(after === undefined ? {} : { after: Date.parse(String(after)) }),
      ...(before === undefined ? {} : { before: Date.parse(String(before)) }),
    },
    limit: numberOf(options.limit, LIMIT),
  };
}

/** What was found, as `knowledge.results` tells it (`NOOB-78` to `NOOB-81`). */
export function resultsOf(finding: KnowledgeFinding, payload: JsonObject): JsonObject {
  const { return_metadata: withMetadata = true, include_raw_content: whole = true } = objectOf(
    payload.request_options,
  );
  return {
    results: finding.hits.map(hit => ({
      document_id: hit.documentId,
      chunk_id: hit.chunkId,
      content: whole === false ? hit.content.slice(0, CONTENT_CUT) : hit.content,
      ...(withMetadata === false ? {} : { metadata: hit.metadata }),
      score: hit.score,
      keywords: hit.keywords,
      vector_id: hit.vectorId,
    })),
    search_stats: {
      total_results: finding.total,
      returned_results: finding.hits.length,
      execution_time_ms: finding.tookMs,
      indexes_searched: finding.indexesSearched,
      query_vector_id: finding.queryVectorId,
    },
    facets: finding.facets,
    related_queries: finding.relatedQueries.filter(one => one !== payload.query).slice(0, 5),
    ...(finding.warnings.length === 0 ? {} : { reply_metadata: { warnings: finding.warnings } }),
  };
}

/** The document a `knowledge.update` brings. */
export function documentOf({ kb_id: kbId, document }: JsonObject): KnowledgeDocument {
  const { id, type = 'text', content = '', metadata } = objectOf(document);
  return {
    ...{ kbId: String(kbId), id: String(id), type: String(type), content: String(content) },
    metadata: objectOf(metadata),
  };
}

function objectOf(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

function numberOf(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}
