// Conversations about what a tenant has published (`BLOG-29`): answered from its contents, or said to be unanswerable; a session's turns are
// kept in order, each once.

import { DomainError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { sentencesOf } from '../../domain/text/passages.ts';
import { languageOf, stemsOf } from '../../domain/text/words.ts';
import type { Store } from '../../store/store.ts';
import { type Near, textOf, titleOf } from './similarity.ts';

/** One thing said. */
export interface Turn {
  readonly role: 'user' | 'assistant';
  readonly text: string;
  readonly at: number;
  readonly task: string;
}

const KIND = 'chat_session';
const TURNS_KEPT = 400;
const TRIES_MAX = 5;
const SENTENCES_SAID = 3;

const NOTHING: Readonly<Record<'en' | 'es', string>> = {
  en: 'I have found nothing published about that.',
  es: 'No he encontrado nada publicado sobre eso.',
};

/** A reply without a model: the sentences of the nearest contents that have most to do with what was said. */
export function replyFrom(message: string, near: readonly Near[]): string {
  const language = languageOf(message) ?? 'en';
  const wanted = new Set(stemsOf(message));
  const said = near
    .flatMap(({ content, score }) =>
      sentencesOf(textOf(content.content)).map(sentence => ({
        sentence,
        weight: score * stemsOf(sentence).filter(stem => wanted.has(stem)).length,
      })),
    )
    .filter(({ weight }) => weight > 0)
    .sort((one, other) => other.weight - one.weight)
    .slice(0, SENTENCES_SAID)
    .map(({ sentence }) => sentence);
  return said.length === 0 ? NOTHING[language] : said.join(' ');
}

/** What a reply rests on. */
export function sourcesOf(near: readonly Near[]): readonly JsonObject[] {
  return near.map(({ content, score }) => ({
    contentId: content.contentId,
    title: titleOf(content.content),
    score,
  }));
}

/** Keeps conversations. */
export class Sessions {
  readonly #store: Pick<Store, 'documents' | 'putDocuments'>;

  constructor(store: Pick<Store, 'documents' | 'putDocuments'>) {
    this.#store = store;
  }

  /** The turns of a session, oldest first. */
  async turns(tenant: TenantId, session: string): Promise<readonly Turn[]> {
    const [found] = await this.#store.documents({ tenant, kind: KIND, ids: [session] });
    return turnsIn(found?.body.turns);
  }

  /** What a user said last in all of its sessions. */
  async saidBy(tenant: TenantId, user: string): Promise<string> {
    const sessions = await this.#store.documents({ tenant, kind: KIND, limit: 1_000 });
    return sessions
      .filter(({ body }) => body.userId === user)
      .flatMap(({ body }) => turnsIn(body.turns))
      .filter(({ role }) => role === 'user')
      .slice(-20)
      .map(({ text }) => text)
      .join(' ');
  }

  /** Adds what a task said to a session, once. */
  async add(
    tenant: TenantId,
    session: { readonly id: string; readonly userId: string | null },
    turns: readonly Turn[],
  ): Promise<void> {
    for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
      const [found] = await this.#store.documents({ tenant, kind: KIND, ids: [session.id] });
      const kept = turnsIn(found?.body.turns);
      if (kept.some(({ task }) => task === turns[0]?.task)) return;
      const all = [...kept, ...turns].slice(-TURNS_KEPT).map(turn => ({ ...turn }));
      const [outcome] = await this.#store.putDocuments([
        {
          ...{ tenant, kind: KIND, id: session.id, expected: found?.version ?? 'absent' },
          body: { turns: all, userId: session.userId },
        },
      ]);
      if (outcome?.status === 'done') return;
    }
    throw new DomainError('unavailable', `too much is said in session ${session.id} at once`);
  }
}

function turnsIn(turns: Json | undefined): readonly Turn[] {
  return Array.isArray(turns) ? (turns as unknown as readonly Turn[]) : [];
}
