// Bringing a database to the schema of this program without serving from it, so that an update can do it first, once, and under
// an account that may. A server does the same at its start; both wait for one another.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from './config.ts';
import { withoutPassword } from './copy-store.ts';
import { ensureDataDir } from './credentials.ts';
import { embedded, isPostgresUrl, noStoreAt, remote } from './registry.ts';

/** What a migration did or, where it only looked, would do. */
export interface MigrateReport {
  readonly database: string;
  /** 0 where there was no schema. */
  readonly schema_from: number;
  readonly schema_to: number;
  readonly changes: boolean;
}

/** Brings the schema up to date (`SAM-227`); with `check` changes nothing. Throws `unavailable` for a schema too new for this program. */
export async function migrateStore(
  config: Config,
  { check }: { readonly check: boolean },
): Promise<MigrateReport> {
  const { databaseUrl: url, databasePooled: pooled, dataDir } = config;
  if (url === null) return migrateEmbedded(dataDir, check);
  if (!isPostgresUrl(url)) throw noStoreAt(url);
  const { from, to, isMoved } = await remote.migrate({ url, pooled }, { check });
  return {
    database: withoutPassword(url),
    schema_from: from,
    schema_to: to,
    changes: from !== to || isMoved,
  };
}

function migrateEmbedded(dataDir: string, check: boolean): MigrateReport {
  const database = join(dataDir, embedded.file);
  const glance = existsSync(database) ? embedded.glance(database) : null;
  const from = glance?.schemaVersion ?? 0;
  if (!check) ensureDataDir(dataDir);
  const to = check ? embedded.schemaKnown : embedded.migrate(database);
  return { database, schema_from: from, schema_to: to, changes: from !== to };
}
