// What a tenant has set for its Nooble services; `system.update` changes it.

import type { TenantId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Store } from '../../store/store.ts';
import { noobleError } from './errors.ts';
import { RECIPIENTS_MAX, recipientIn } from './recipients.ts';

/** What may be set. */
export interface TenantSettings {
  /** Whether an agent nobody registered is served by the one built in. */
  readonly builtInAgent: boolean;
  readonly sessionsMax: number;
  readonly sessionSeconds: number;
  /** Features in trial that are allowed. */
  readonly experimental: readonly string[];
  /** What models are called here, by the names agents use. */
  readonly modelNames: Readonly<Record<string, string>>;
  /** Who is told of the ends of workflows by a channel that no recipient of theirs suits (`NOOB-52`). */
  readonly recipients: readonly string[];
}

/** What holds unless set. */
export const DEFAULT_SETTINGS: TenantSettings = {
  builtInAgent: true,
  sessionsMax: 1_000,
  sessionSeconds: 86_400,
  experimental: [],
  modelNames: {},
  recipients: [],
};

const KIND = 'nooble_settings';
const WORDS = {
  built_in_agent: 'builtInAgent',
  max_sessions_per_user: 'sessionsMax',
  session_seconds: 'sessionSeconds',
  experimental_features: 'experimental',
  model_names: 'modelNames',
  notification_recipients: 'recipients',
} as const;

/** The settings of all tenants. */
export class Settings {
  readonly #store: Pick<Store, 'documents' | 'putDocuments'>;

  constructor(store: Pick<Store, 'documents' | 'putDocuments'>) {
    this.#store = store;
  }

  async of(tenant: TenantId): Promise<TenantSettings> {
    const [found] = await this.#store.documents({ tenant, kind: KIND, ids: ['settings'] });
    return { ...DEFAULT_SETTINGS, ...(found?.body as Partial<TenantSettings> | undefined) };
  }

  /** Changes what is named; throws VAL_001 for what cannot be set so. */
  async change(tenant: TenantId, asked: JsonObject): Promise<TenantSettings> {
    const changes = Object.entries(asked).map(([word, value]) => {
      const name = Object.hasOwn(WORDS, word) ? WORDS[word as keyof typeof WORDS] : null;
      if (name === null || !fits(name, value))
        throw noobleError('VAL_001', `${word} cannot be set so`, {
          setting: word,
          settings: Object.keys(WORDS),
        });
      return [name, value] as const;
    });
    const settings = { ...(await this.of(tenant)), ...Object.fromEntries(changes) } as TenantSettings;
    const body = settings as unknown as JsonObject;
    await this.#store.putDocuments([{ tenant, kind: KIND, id: 'settings', body }]);
    return settings;
  }
}

/** The settings in the wire's words. */
export function settingsView(settings: TenantSettings): JsonObject {
  return Object.fromEntries(
    Object.entries(WORDS).map(([word, name]) => [word, settings[name] as JsonObject[string]]),
  );
}

function fits(name: keyof TenantSettings, value: unknown): boolean {
  switch (name) {
    case 'builtInAgent':
      return typeof value === 'boolean';
    case 'sessionsMax':
    case 'sessionSeconds':
      return Number.isInteger(value) && Number(value) >= 1;
    case 'experimental':
      return Array.isArray(value) && value.every(one => typeof one === 'string');
    case 'modelNames':
      return isJsonObject(value) && Object.values(value).every(one => typeof one === 'string');
    case 'recipients':
      return (
        Array.isArray(value) &&
        value.length <= RECIPIENTS_MAX &&
        value.every(one => typeof one === 'string' && recipientIn(one) !== null)
      );
  }
}
