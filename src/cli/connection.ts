// Which server a command talks to and how it proves itself: flags first, then the environment, then the credentials.json that a
// server left in its data directory.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BatutaClient } from '../sdk/client.ts';
import type { Credentials } from '../sdk/credentials.ts';
import { UsageError } from './failure.ts';
import type { CliHost } from './host.ts';

/** The flags every command that talks to a server takes. */
export interface ConnectionFlags {
  readonly url?: string;
  readonly apiKey?: string;
  readonly apiSecret?: string;
  readonly token?: string;
  readonly dataDir?: string;
}

/** A server and a way in. */
export interface Connection {
  readonly url: string;
  readonly credentials: Credentials | undefined;
  /** Where the way in was found, for messages. */
  readonly source: 'flags' | 'environment' | 'credentials.json' | 'nowhere';
}

const DEFAULT_URL = 'http://127.0.0.1:8400';

/** Finds the server and the credentials; throws `UsageError` for a half of a key, or a file that cannot be read. */
export function findConnection(flags: ConnectionFlags, environment: CliHost['environment']): Connection {
  const kept = readCredentials(flags.dataDir ?? environment.BATUTA_DATA ?? '.batuta');
  const url = flags.url ?? present(environment.BATUTA_URL) ?? kept.url ?? DEFAULT_URL;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new UsageError(`"${url}" is not the URL of a server`, `such as ${DEFAULT_URL}`);
  const named = keyOf(flags.apiKey, flags.apiSecret, flags.token, '--api-key', '--api-secret');
  if (named !== undefined) return { url, credentials: named, source: 'flags' };
  const { BATUTA_API_KEY, BATUTA_API_SECRET, BATUTA_TOKEN } = environment;
  const ambient = keyOf(
    present(BATUTA_API_KEY),
    present(BATUTA_API_SECRET),
    present(BATUTA_TOKEN),
    'BATUTA_API_KEY',
    'BATUTA_API_SECRET',
  );
  if (ambient !== undefined) return { url, credentials: ambient, source: 'environment' };
  // The key of the server next door is not shown to whatever server a flag may name.
  if (kept.key !== undefined && (url === kept.url || isHere(url)))
    return { url, credentials: kept.key, source: 'credentials.json' };
  return { url, credentials: undefined, source: 'nowhere' };
}

/** A client of the server the flags, or what stands behind them, name. */
export function connect(flags: ConnectionFlags, host: CliHost): BatutaClient {
  const { url, credentials } = findConnection(flags, host.environment);
  return new BatutaClient({
    url,
    credentials,
    clock: host.clock,
    agentId: 'batuta-cli',
    // A person waits at the other end: better to be told soon.
    retry: { attemptsMax: 3, delayMaxMs: 2_000, retryAfterMaxMs: 5_000 },
  });
}

function keyOf(
  apiKey: string | undefined,
  apiSecret: string | undefined,
  token: string | undefined,
  keyName: string,
  secretName: string,
): Credentials | undefined {
  if (token !== undefined) return { token };
  if (apiKey === undefined && apiSecret === undefined) return undefined;
  if (apiKey === undefined || apiSecret === undefined)
    throw new UsageError(`${keyName} and ${secretName} go together: one of them is missing`);
  return { apiKey, apiSecret };
}

function isHere(url: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0|\[::1?\])$/.test(new URL(url).hostname);
}

function readCredentials(dataDir: string): { readonly url?: string; readonly key?: Credentials } {
  const path = join(dataDir, 'credentials.json');
  if (!existsSync(path)) return {};
  try {
    const { url, api_key, api_secret } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    return {
      ...(typeof url === 'string' && url !== '' ? { url } : {}),
      ...(typeof api_key === 'string' && typeof api_secret === 'string'
        ? { key: { apiKey: api_key, apiSecret: api_secret } }
        : {}),
    };
  } catch (error) {
    throw new UsageError(
      `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      'give --url, --api-key and --api-secret instead, or mend the file',
    );
  }
}

function present(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}
