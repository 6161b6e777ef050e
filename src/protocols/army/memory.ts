// The built-in memory: takes what is to be remembered and answers what is asked of it (`ARMY-36`, `ARMY-40`). How records are kept and found
// is its keeper's.

import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import { inboxOfDesk, inboxOfRole, type Message } from '../../domain/message.ts';
import type { Participant } from '../../engine/ports/participant.ts';
import { instantOf } from '../validation.ts';
import { answer, ownAddress } from './drafts.ts';
import { idFrom } from './ids.ts';
import type { MemoryKeeper, RecordQuery } from './inner.ts';
import { requireAtWork, type Settings } from './settings.ts';
import { ARMY } from './words.ts';

const LIMIT = 10;

/** The built-in `memory`. */
export function createMemory(keeper: MemoryKeeper, settings: Settings): Participant {
  return {
    name: 'army memory',
    inboxes: [inboxOfRole(ARMY, 'memory'), inboxOfDesk(`${ARMY}:memory`)],
    async handle(message) {
      const { meaning } = message;
      if (meaning.act !== 'remember' && meaning.act !== 'recall') return [];
      await requireAtWork('memory', message.tenant, settings);
      const memory =
        meaning.act === 'remember' ? await remember(message, keeper) : await recall(message, keeper);
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

async function remember({ tenant, meaning }: Message, keeper: MemoryKeeper): Promise<JsonObject> {
  if (meaning.act !== 'remember') throw new Error('this is not to be remembered');
  const { key, value, ttlMs, tags } = meaning;
  const { version, expiresAt } = await keeper.store(tenant, { key, value, ttlMs, tags });
  return {
    key,
    stored: true,
    version,
    expires_at: expiresAt === null ? null : new Date(expiresAt).toISOString(),
  };
}

async function recall({ tenant, meaning }: Message, keeper: MemoryKeeper): Promise<JsonObject> {
  if (meaning.act !== 'recall') throw new Error('this asks nothing of the memory');
  const { results, total } = await keeper.query(tenant, queryIn(meaning.query));
  return {
    results: results.map(({ key, value, tags, score, createdAt }) => ({
      ...{ key, value, tags, score },
      created_at: new Date(createdAt).toISOString(),
    })),
    total,
  };
}

function queryIn(said: JsonObject): RecordQuery {
  const query = isJsonObject(said.query) ? said.query : {};
  const filters = isJsonObject(said.filters) ? said.filters : {};
  const range = isJsonObject(filters.date_range) ? filters.date_range : {};
  const text = typeof query.text === 'string' ? query.text : '';
  const type = query.type as RecordQuery['type'];
  if (type !== 'tags' && text === '')
    throw new DomainError('invalid_request', `a query of type ${type} needs a text`, {
      details: { errors: [{ field: 'payload.query.text', message: 'is required' }] },
    });
  return {
    ...{ type, text },
    tags: Array.isArray(filters.tags) ? filters.tags.map(String) : [],
    from: typeof range.from === 'string' ? instantOf(range.from) : null,
    until: typeof range.to === 'string' ? instantOf(range.to) : null,
    limit: typeof said.limit === 'number' ? said.limit : LIMIT,
  };
}
