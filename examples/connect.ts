// How an example finds its server: by BATUTA_URL, BATUTA_API_KEY and BATUTA_API_SECRET, else by what `npm start` left in its data directory.
//
// In a project of your own, import from 'batuta/sdk'.

import { readFileSync } from 'node:fs';
import { BatutaClient } from '../src/sdk/index.ts';

/** Where the server is, and a key that opens it. */
export interface Login {
  readonly url: string;
  readonly apiKey: string;
  readonly apiSecret: string;
}

/** A client of the server; throws where there is no sign of one. */
export function connect({ url, apiKey, apiSecret }: Login = findLogin()): BatutaClient {
  return new BatutaClient({ url, credentials: { apiKey, apiSecret } });
}

/** What the environment or the data directory says. */
export function findLogin(): Login {
  const { BATUTA_URL: url, BATUTA_API_KEY: apiKey, BATUTA_API_SECRET: apiSecret } = process.env;
  if (url !== undefined && apiKey !== undefined && apiSecret !== undefined) return { url, apiKey, apiSecret };
  const kept = JSON.parse(readFileSync(`${process.env.BATUTA_DATA ?? '.batuta'}/credentials.json`, 'utf8'));
  return { url: url ?? kept.url, apiKey: kept.api_key, apiSecret: kept.api_secret };
}
