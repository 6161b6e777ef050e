// The built-in memory: takes what is to be remembered and answers what is asked of it (`ARMY-35` to `ARMY-43`), in the records of this
// server.

import { DomainError } from '../../domain/errors.ts';
import type { AgentId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import { inboxOfDesk, inboxOfRole, type Meaning, type Message } from '../../domain/message.ts';
import { DEFAULT_COLLECTION, type MemoryRecord } from '../../domain/record.ts';
import type { SearchType } from '../../engine/memory/search.ts';
import type { Participant } from '../../engine/ports/participant.ts';
import type { DialectHands } from '../dialect/hands.ts';
import { instantOf } from '../validation.ts';
import { answer, ownAddress } from './drafts.ts';
import { invalid } from './errors.ts';
import { idFrom } from './ids.ts';
import { requireAtWork, type Settings } from './settings.ts';
import { ARMY, type QUERY_TYPES } from './words.ts';

/** What the memory works with. */
export interface MemoryParts extends Pick<DialectHands, 'memory' | 'store' | 'guardrails'> {
  readonly settings: Settings;
}

const LIMIT = 10;
const SEARCHES: Readonly<Record<(typeof QUERY_TYPES)[number], SearchType>> = {
  semantic_search: 'semantic',
  full_text: 'keyword',
  hybrid: 'hybrid',
  key: 'key',
  tags: 'tags',
};
/** While an answer is made it is in memory some ten times: found, read, put in words, packed, written, sent. */
const COPIES = 10;
const MEGABYTE = 1_048_576;
/** By which message a record was stored. */
const STORED_BY = 'message_id';

/** The built-in `memory`. */
export function createMemory(parts: MemoryParts): Participant {
  return {
    name: 'army memory',
    inboxes: [inboxOfRole(ARMY, 'memory'), inboxOfDesk(`${ARMY}:memory`)],
    async handle(message) {
      const { meaning } = message;
      if (meaning.act !== 'remember' && meaning.act !== 'recall') return [];
      await requireAtWork('memory', message.tenant, parts.settings);
      const memory =
        meaning.act === 'remember'
          ? storedAs(await remember(message, meaning, parts))
          : await find(message, meaning.query, parts);
      return [
        answer(message, {
          id: idFrom('memory', message.id),
          type: 'memory_response',
          from: ownAddress('memory'),
          meaning: { act: 'tell_memory', memory },
        }),
      ];
    },
  };
}

/** Stores it; a message that is handled again after a crash makes no second version. */
async function remember(
  message: Message,
  { key, value, ttlMs, tags }: Meaning & { readonly act: 'remember' },
  { memory, store }: MemoryParts,
): Promise<MemoryRecord> {
  const { tenant, agentId, actor, taskId, id } = message;
  const [task] = taskId === null ? [] : await store.read([{ tenant, id: taskId }]);
  const userId = task?.spec.requester.userId ?? null;
  for (;;) {
    const known = await memory.recall({ tenant, collection: DEFAULT_COLLECTION, key });
    if (known?.metadata[STORED_BY] === id) return known;
    try {
      return await memory.remember({
        ...{ tenant, key, value, tags, owner: (agentId ?? actor) as AgentId, metadata: { [STORED_BY]: id } },
        ...(ttlMs === null ? {} : { ttlMs }),
        ...(userId === null ? {} : { userId }),
        expected: known?.version ?? 'absent',
      });
    } catch (error) {
      // Another wrote it in between: this one goes on top.
      if (!(error instanceof DomainError) || error.code !== 'conflict') throw error;
    }
  }
}

function storedAs({ key, version, expiresAt }: MemoryRecord): JsonObject {
  const end = expiresAt === null ? null : new Date(expiresAt).toISOString();
  return { key, stored: true, version, expires_at: end };
}

/** Throws `resource_exhausted` for what would take more memory than an agent may (`ARMY-72`). */
async function find(message: Message, asked: JsonObject, parts: MemoryParts): Promise<JsonObject> {
  const { tenant } = message;
  const query = isJsonObject(asked.query) ? asked.query : {};
  const filters = isJsonObject(asked.filters) ? asked.filters : {};
  const range = isJsonObject(filters.date_range) ? filters.date_range : {};
  const type = SEARCHES[query.type as keyof typeof SEARCHES];
  const text = typeof query.text === 'string' ? query.text : '';
  const tags = Array.isArray(filters.tags) ? filters.tags.map(String) : [];
  if (text.trim() === '' && !(type === 'tags' && tags.length > 0))
    throw invalid([{ field: 'payload.query.text', message: `is required for ${String(query.type)}` }]);
  const limitMb = Math.min(
    (await parts.settings.of(tenant)).maxMemoryMb,
    parts.guardrails.of(tenant).agentMemoryMbMax,
  );
  const sought = {
    ...{ tenant, type, text, tags, collections: [DEFAULT_COLLECTION] },
    stored: {
      ...(typeof range.from === 'string' ? { from: instantOf(range.from) } : {}),
      ...(typeof range.to === 'string' ? { to: instantOf(range.to) } : {}),
    },
    limit: typeof asked.limit === 'number' ? asked.limit : LIMIT,
    bytesMax: Math.floor((limitMb * MEGABYTE) / COPIES),
  };
  const { hits, total } = await parts.memory.search(sought).catch(error => {
    if (!(error instanceof DomainError) || error.code !== 'resource_exhausted') throw error;
    const details = { ...error.details, rule: 'agent_memory', limit_mb: limitMb };
    throw new DomainError('resource_exhausted', error.message, { details, cause: error });
  });
  return {
    results: hits.map(({ record: { key, value, tags: kept, createdAt }, score }) => ({
      ...{ key, value, tags: [...kept], score },
      created_at: new Date(createdAt).toISOString(),
    })),
    total,
  };
}
