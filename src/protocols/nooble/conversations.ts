// Conversations: messages under the ids their senders chose, in the order they were stored (`NOOB-64` to `NOOB-67`).

import type { TenantId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Store } from '../../store/store.ts';
import { noobleError } from './errors.ts';

interface Kept extends JsonObject {
  readonly id: string;
  readonly place: number;
  readonly message: JsonObject;
}

/** A message of a conversation, and whether it is kept unreadable. */
interface Turn extends Pick<Kept, 'id' | 'message'> {
  readonly isSensitive: boolean;
}

/** Which messages of a conversation are read, and whether what is made of them is kept as secret as they are. */
export interface ConversationReading {
  readonly payload: JsonObject;
  readonly isSensitive: boolean;
}

/** What is asked of a message of a conversation. */
export interface ConversationUpdate {
  readonly payload: JsonObject;
  /** The task that asks, which may ask again. */
  readonly by: string;
  readonly at: number;
  readonly isSensitive: boolean;
}

const HEAD = 'nooble_conversation';
const MESSAGE = 'nooble_conversation_message';
const LIMIT = 50;
const TRIES = 50;
const WITHHELD = (count: number): string =>
  `${count} sensitive messages are withheld: they are read by a message that is sensitive_data itself`;

/** The conversations of all tenants. */
export class Conversations {
  readonly #store: Pick<Store, 'documents' | 'putDocuments'>;

  constructor(store: Pick<Store, 'documents' | 'putDocuments'>) {
    this.#store = store;
  }

  /** Stores, replaces or blanks a message; `by` is the task that asks, which may ask again. Throws VAL_005, `resource_not_found`. */
  async update(
    tenant: TenantId,
    conversation: string,
    { payload, by, at, isSensitive }: ConversationUpdate,
  ): Promise<JsonObject> {
    const { operation = 'create', attachments, metadata } = payload;
    const said = isJsonObject(payload.message) ? payload.message : {};
    const id = String(said.id);
    const [found] = await this.#store.documents({
      tenant,
      kind: `${MESSAGE}/${conversation}`,
      ids: [id],
    });
    const kept = found?.body as Kept | undefined;
    const isAgain = kept?.by === by;
    if (operation === 'create' && kept !== undefined && !isAgain)
      throw noobleError('VAL_005', `the conversation has a message ${id}`, { message: id });
    if (operation !== 'create' && (kept === undefined || (kept.message.deleted === true && !isAgain)))
      throw noobleError('resource_not_found', `the conversation has no message ${id}`, { message: id });
    const place = kept?.place ?? (await this.#nextPlace(tenant, conversation));
    const message: JsonObject =
      operation === 'delete'
        ? { id, role: kept?.message.role ?? null, content: '', deleted: true, deleted_at: isoOf(at) }
        : {
            role: 'user',
            format: 'text',
            created_at: isoOf(at),
            ...(operation === 'update' ? kept?.message : {}),
            ...said,
            ...(attachments === undefined ? {} : { attachments }),
            ...(metadata === undefined ? {} : { metadata }),
          };
    // What was sensitive once stays so, whoever changes it.
    const isKeptSecret = isSensitive || found?.isSensitive === true;
    await this.#store.putDocuments([
      {
        ...{ tenant, kind: `${MESSAGE}/${conversation}`, id, body: { id, place, message, by } },
        ...(isKeptSecret ? { isSensitive: true as const } : {}),
      },
    ]);
    return { conversation_id: conversation, message_id: id, operation, status: 'stored', position: place };
  }

  /**
   * Messages in the order they were stored: the last so many, before one of them if it is named. Who does not read as secretly as they were said
   * is given those that are sensitive without content, and told how many (`NOOB-33`).
   */
  async read(
    tenant: TenantId,
    conversation: string,
    { payload: { limit, before }, isSensitive }: ConversationReading,
  ): Promise<JsonObject> {
    const all = await this.#messages(tenant, conversation);
    const end = typeof before === 'string' ? all.findIndex(({ id }) => id === before) : all.length;
    if (end < 0)
      throw noobleError('resource_not_found', `the conversation has no message ${before}`, { before });
    const from = Math.max(0, end - (typeof limit === 'number' ? limit : LIMIT));
    const read = all.slice(from, end);
    const withheld = isSensitive ? 0 : read.filter(one => one.isSensitive).length;
    return {
      conversation_id: conversation,
      messages: read.map(one => (isSensitive || !one.isSensitive ? one.message : withoutContent(one))),
      total: all.length,
      has_more: from > 0,
      ...(withheld === 0 ? {} : { withheld, reply_metadata: { warnings: [WITHHELD(withheld)] } }),
    };
  }

  async #messages(tenant: TenantId, conversation: string): Promise<readonly Turn[]> {
    const found = await this.#store.documents({ tenant, kind: `${MESSAGE}/${conversation}` });
    return found
      .map(one => ({ ...(one.body as Kept), isSensitive: one.isSensitive === true }))
      .toSorted((one, other) => one.place - other.place);
  }

  async #nextPlace(tenant: TenantId, conversation: string): Promise<number> {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const [head] = await this.#store.documents({ tenant, kind: HEAD, ids: [conversation] });
      const place = Number(head?.body.messages ?? 0) + 1;
      const [outcome] = await this.#store.putDocuments([
        {
          ...{ tenant, kind: HEAD, id: conversation, body: { messages: place } },
          expected: head?.version ?? 'absent',
        },
      ]);
      if (outcome?.status === 'done') return place;
    }
    throw noobleError('GEN_001', 'too many messages are stored in the conversation at once');
  }
}

/** That something was said there, and by whom. */
function withoutContent({ id, message: { role, created_at: at } }: Turn): JsonObject {
  const when = at === undefined ? {} : { created_at: at };
  return { id, role: role ?? null, ...when, content: '', withheld: 'sensitive_data' };
}

function isoOf(at: number): string {
  return new Date(at).toISOString();
}
