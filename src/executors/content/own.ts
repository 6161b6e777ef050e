// Providers tenants bring themselves: set up in a secret of theirs, used by the tasks that name it, and reached like any address a
// requester names.

import { createHash } from 'node:crypto';
import Type, { type Static } from 'typebox';
import Value from 'typebox/value';
import type { Json } from '../../domain/json.ts';
import type { ModelPrice, ModelProvider } from '../../engine/ports/model-provider.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { FinalError } from './failure.ts';
import { Lineup } from './lineup.ts';
import type { ProviderSettings } from './provider.ts';

const name = Type.String({ minLength: 1, maxLength: 200 });
const amount = Type.Number({ minimum: 0 });

/** What such a secret holds, as JSON. */
const OWN_PROVIDER = Type.Object(
  {
    base_url: Type.String({ pattern: '^https?://', maxLength: 2_000 }),
    key: Type.Optional(Type.String({ pattern: '^[\\x21-\\x7e]+$', maxLength: 2_000 })),
    models: Type.Array(name, { maxItems: 100 }),
    image_model: Type.Optional(name),
    moderation_model: Type.Optional(name),
    prices: Type.Optional(
      Type.Record(
        name,
        Type.Union([
          Type.Object({ input_per_million: amount, output_per_million: amount }),
          Type.Object({ per_image: amount }),
        ]),
      ),
    ),
  },
  { additionalProperties: false },
);

type OwnProvider = Static<typeof OWN_PROVIDER>;

const KEPT_MAX = 200;
const PROVIDER = 'own';

/** The tenants' own providers; one remembers when to come back, over all tasks that use it. */
export class OwnProviders {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #create: (settings: ProviderSettings) => ModelProvider;
  /** By digest of the secret, so that a changed one is another provider; each holds its key in memory. */
  readonly #kept = new Map<string, Lineup>();

  constructor(log: Log, clock: Clock, create: (settings: ProviderSettings) => ModelProvider) {
    this.#log = log;
    this.#clock = clock;
    this.#create = create;
  }

  /** A lineup of that provider alone; throws `unprocessable`, without a word of what it holds, for a secret that is none. */
  lineup(secretName: string, secret: string): Lineup {
    const digest = createHash('sha256').update(secret).digest('base64');
    const known = this.#kept.get(digest);
    if (known !== undefined) return known;
    const lineup = new Lineup(this.#log, this.#clock, [this.#create(settingsIn(secretName, secret))]);
    if (this.#kept.size >= KEPT_MAX) this.#kept.clear();
    this.#kept.set(digest, lineup);
    return lineup;
  }
}

function settingsIn(secretName: string, secret: string): ProviderSettings {
  const own = parsed(secretName, secret);
  return {
    name: PROVIDER,
    baseUrl: own.base_url.replace(/\/+$/, ''),
    key: own.key ?? null,
    models: own.models,
    imageModel: own.image_model ?? null,
    moderationModel: own.moderation_model ?? null,
    prices: Object.fromEntries(
      Object.entries(own.prices ?? {}).map(([model, price]): [string, ModelPrice] => [
        model,
        'per_image' in price
          ? { perImage: price.per_image }
          : { inputPerMillion: price.input_per_million, outputPerMillion: price.output_per_million },
      ]),
    ),
  };
}

function parsed(secretName: string, secret: string): OwnProvider {
  let value: Json;
  try {
    value = JSON.parse(secret) as Json;
  } catch {
    throw unusable(secretName, 'is not JSON');
  }
  if (Value.Check(OWN_PROVIDER, value)) {
    if (URL.canParse(value.base_url)) return value;
    throw unusable(secretName, 'has a base_url that is no URL');
  }
  const [fault] = Value.Errors(OWN_PROVIDER, value);
  // Names below that are the secret's own words.
  const field = Object.keys(OWN_PROVIDER.properties).find(one => one === fault?.instancePath.split('/')[1]);
  throw unusable(
    secretName,
    `does not set up a provider${field === undefined ? '' : `: ${field} is not as it must be`}`,
  );
}

function unusable(secretName: string, why: string): FinalError {
  return new FinalError('unprocessable', `the secret ${secretName} ${why}`, {
    details: { secret: secretName },
  });
}
