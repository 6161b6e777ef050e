// Sessions: opened by their first message, closed by whoever runs the place or by time (`NOOB-68`).

import type { TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Store } from '../../store/store.ts';
import type { Envelope } from './envelope.ts';
import { noobleError } from './errors.ts';
import { metadataText } from './metadata.ts';
import type { Settings } from './settings.ts';

interface Session extends JsonObject {
  readonly user: string;
  readonly expires_at: number;
  readonly closed: boolean;
}

const KIND = 'nooble_session';
/** An expired session is remembered so long, so that it is not opened anew. */
const REMEMBERED_MS = 7 * 86_400_000;
const LISTED_MAX = 1_000;

/** The sessions of all tenants. */
export class Sessions {
  readonly #store: Pick<Store, 'documents' | 'putDocuments'>;
  readonly #settings: Settings;

  constructor(store: Pick<Store, 'documents' | 'putDocuments'>, settings: Settings) {
    this.#store = store;
    this.#settings = settings;
  }

  /** Enters the session a message is of, if it is of any; throws `invalid_session`, AUTH_005. */
  async enter(tenant: TenantId, envelope: Envelope, sender: string, now: number): Promise<void> {
    const { session_id: id } = envelope;
    if (id === undefined) return;
    const [found] = await this.#store.documents({ tenant, kind: KIND, ids: [id] });
    const known = found?.body as Session | undefined;
    const { sessionsMax, sessionSeconds } = await this.#settings.of(tenant);
    const lifeMs = sessionSeconds * 1_000;
    if (known !== undefined && (known.closed || known.expires_at <= now))
      throw noobleError('invalid_session', `the session ${id} is ${known.closed ? 'closed' : 'expired'}`, {
        session_id: id,
      });
    // Each write would cost as much as the message: a session's end moves by tenths of its life.
    if (known !== undefined && known.expires_at - now > lifeMs * 0.9) return;
    const user = known?.user ?? metadataText(envelope, 'user_id') ?? sender;
    if (known === undefined && (await this.#openOf(tenant, user, now)) >= sessionsMax)
      throw noobleError('AUTH_005', `${user} has ${sessionsMax} sessions open`, { limit: sessionsMax });
    await this.#write(tenant, id, { user, expires_at: now + lifeMs, closed: false });
  }

  /** Closes a session; false where there is none of that id. */
  async close(tenant: TenantId, id: string): Promise<boolean> {
    const [found] = await this.#store.documents({ tenant, kind: KIND, ids: [id] });
    if (found === undefined) return false;
    await this.#write(tenant, id, { ...(found.body as Session), closed: true });
    return true;
  }

  /** Ids of sessions, so many at most. */
  async ids(tenant: TenantId): Promise<readonly string[]> {
    const all = await this.#store.documents({ tenant, kind: KIND, limit: LISTED_MAX });
    return all.map(({ id }) => id);
  }

  async #openOf(tenant: TenantId, user: string, now: number): Promise<number> {
    const all = await this.#store.documents({ tenant, kind: KIND });
    return all.filter(({ body }) => {
      const session = body as Session;
      return session.user === user && !session.closed && session.expires_at > now;
    }).length;
  }

  async #write(tenant: TenantId, id: string, body: Session): Promise<void> {
    const expiresAt = body.expires_at + REMEMBERED_MS;
    await this.#store.putDocuments([{ tenant, kind: KIND, id, body, expiresAt }]);
  }
}
