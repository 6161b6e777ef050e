// The part of `batuta doctor` that looks at a PostgreSQL: whether nodes with these settings could work on it, what would slow them
// down or lose what they acknowledged, and who works on it already.

import type { Config } from './config.ts';
import { withoutPassword } from './copy-store.ts';
import { type Finding, wordsOf } from './examine-types.ts';
import { isPostgresUrl, noStoreAt, remote } from './registry.ts';

type Facts = Awaited<ReturnType<typeof remote.examine>>;
type Settings = Pick<
  Config,
  | ('databaseUrl' | 'databasePooled' | 'databaseConnections' | 'blobs')
  | ('masterKey' | 'auditKey' | 'jwtSecret' | 'adminKey' | 'adminSecret')
>;

/** The oldest release that is still mended. */
const VERSION_LEAST = 14;
const CLOCK_MS = { warning: 2_000, failed: 30_000 };
const XMIN_S = { warning: 60, failed: 3_600 };
/** Remains of rows are a matter only where they are many, and many beside the rows that are left. */
const DEAD_LEAST = 1_000_000;
/** What other programs and administrators need of a database's connections. */
const CONNECTIONS_SPARE = 5;
/** Those that artifacts have to themselves. */
const BLOB_CONNECTIONS = 3;

/** Looks at the database a URL names; never throws for what it finds. */
export async function examineDatabase(
  settings: Settings & { readonly databaseUrl: string },
): Promise<readonly Finding[]> {
  const { databaseUrl: url, databasePooled: pooled } = settings;
  if (!isPostgresUrl(url)) return [unreachable(noStoreAt(url))];
  let facts: Facts;
  try {
    facts = await factsOf(url, pooled);
  } catch (error) {
    return [unreachable(error), sharedKeys(settings)];
  }
  return [
    sharedKeys(settings),
    database(facts, url),
    schema(facts),
    ...durability(facts),
    connections(facts, settings),
    hearing(facts, pooled),
    clock(facts),
    xmin(facts),
    remains(facts),
    nodes(facts),
  ];
}

async function factsOf(url: string, pooled: boolean): Promise<Facts> {
  try {
    return await remote.examine({ url, pooled });
  } catch (error) {
    if (pooled) throw error;
    // A pooler lets nobody in who brings settings of a session along.
    return await remote.examine({ url, pooled: true }).catch(() => Promise.reject(error));
  }
}

function unreachable(error: unknown): Finding {
  return {
    name: 'database',
    state: 'failed',
    detail: wordsOf(error),
    hint: 'check BATUTA_DATABASE_URL, that PostgreSQL runs there, and that it lets this machine and user in',
  };
}

/** What a node makes for itself where nobody sets it, no other node has. */
function sharedKeys({ masterKey, auditKey, jwtSecret, adminKey, adminSecret }: Settings): Finding {
  const name = 'shared keys';
  const keys = {
    BATUTA_MASTER_KEY: masterKey,
    BATUTA_AUDIT_KEY: auditKey,
    BATUTA_JWT_SECRET: jwtSecret,
    BATUTA_ADMIN_KEY: adminKey,
    BATUTA_ADMIN_SECRET: adminSecret,
  };
  const unset = Object.entries(keys).flatMap(([variable, value]) => (value === null ? [variable] : []));
  if (unset.length === 0)
    return { name, state: 'ok', detail: 'all set; they must be the same on every node' };
  const hint =
    'set the same on every node before there is a second one: they cannot read each other’s secrets';
  return { name, state: 'warning', detail: `not set: ${unset.join(', ')}`, hint };
}

function database({ version, versionMajor, writable, encrypted, unverified }: Facts, url: string): Finding {
  const name = 'database';
  const where = `PostgreSQL ${version} at ${withoutPassword(url)}`;
  if (versionMajor < VERSION_LEAST)
    return { name, state: 'failed', detail: where, hint: `PostgreSQL ${VERSION_LEAST} or later is needed` };
  if (!writable) {
    const hint = 'point BATUTA_DATABASE_URL at the primary';
    return { name, state: 'failed', detail: `${where} is read-only`, hint };
  }
  if (unverified && !isHere(url)) {
    const hint = 'sslmode=verify-full with sslrootcert checks that it is the database that answers';
    return { name, state: 'warning', detail: `${where}, with TLS to whoever answers`, hint };
  }
  if (encrypted || isHere(url)) return { name, state: 'ok', detail: where };
  const hint = 'add sslmode=verify-full to the URL, or keep the network between to yourself';
  return { name, state: 'warning', detail: `${where}, without TLS`, hint };
}

function isHere(url: string): boolean {
  const { hostname } = new URL(url);
  return hostname === '' || hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
}

function schema({ schema: found, mayMigrate }: Facts): Finding {
  const name = 'schema';
  const hint = 'run batuta migrate as the user who owns the schema batuta, or make this one its owner';
  if (found === null) {
    if (mayMigrate) return { name, state: 'ok', detail: 'none yet: the first start makes it' };
    return { name, state: 'failed', detail: 'none yet, and this user may not make it', hint };
  }
  const { schema: version, known, programMin, isHome } = found;
  if (programMin > known) {
    const detail = `${version}, for programs that know ${programMin}; this one knows ${known}`;
    return { name, state: 'failed', detail, hint: 'use the newer program' };
  }
  if (version < known || !isHome) {
    const detail = isHome
      ? `${version}, the next start brings it to ${known}`
      : `${version}, restored from elsewhere`;
    if (mayMigrate) return { name, state: 'ok', detail };
    return { name, state: 'failed', detail: `${detail}, which this user may not do`, hint };
  }
  return { name, state: 'ok', detail: version > known ? `${version}, newer and usable` : String(version) };
}

function durability({ forgetful }: Facts): readonly Finding[] {
  if (forgetful.length === 0) return [];
  return [
    {
      name: 'durability',
      state: 'failed',
      detail: `${forgetful.join(', ')}: a crash of the database loses what was acknowledged`,
      hint: 'turn it on again in the configuration of PostgreSQL',
    },
  ];
}

function connections({ connectionsUsed, connectionsMax }: Facts, settings: Settings): Finding {
  const name = 'connections';
  const wanted = settings.databaseConnections + 1 + (settings.blobs === 'files' ? 0 : BLOB_CONNECTIONS);
  const detail = `${connectionsUsed} of ${connectionsMax} in use; a node takes up to ${wanted}`;
  if (connectionsUsed + wanted + CONNECTIONS_SPARE <= connectionsMax) return { name, state: 'ok', detail };
  const hint = 'raise max_connections, lower BATUTA_DATABASE_CONNECTIONS, or put a pooler before it';
  return { name, state: 'warning', detail, hint };
}

function hearing({ listens }: Facts, pooled: boolean): Finding {
  const name = 'notifications';
  if (pooled) {
    const hint = listens
      ? 'if no pooler stands between, BATUTA_DATABASE_POOLED=false makes it faster'
      : undefined;
    const detail = 'not listened to behind a pooler: nodes hear of one another by asking';
    return { name, state: 'ok', detail, ...(hint === undefined ? {} : { hint }) };
  }
  if (listens) return { name, state: 'ok', detail: 'LISTEN and NOTIFY reach from one connection to another' };
  return {
    name,
    state: 'failed',
    detail: 'what one connection notifies does not reach another: a pooler in transaction mode?',
    hint: 'connect to PostgreSQL itself, or set BATUTA_DATABASE_POOLED=true',
  };
}

function clock({ clockAheadMs, roundTripMs }: Facts): Finding {
  const apartMs = Math.max(0, Math.abs(clockAheadMs) - roundTripMs / 2);
  const state = apartMs > CLOCK_MS.failed ? 'failed' : apartMs > CLOCK_MS.warning ? 'warning' : 'ok';
  const way = clockAheadMs < 0 ? 'behind' : 'ahead of';
  return {
    name: 'database clock',
    state,
    detail: `${Math.abs(clockAheadMs)} ms ${way} this machine's, asked in ${roundTripMs} ms`,
    ...(state === 'ok' ? {} : { hint: "leases and timers go by the database's clock: keep both by NTP" }),
  };
}

function xmin({ oldestXminAgeS: ageS, oldestXminBy: by }: Facts): Finding {
  const state = ageS > XMIN_S.failed ? 'failed' : ageS > XMIN_S.warning ? 'warning' : 'ok';
  return {
    name: 'oldest transaction',
    state,
    detail: by === null ? 'none' : `${Math.round(ageS)} s, of ${by}`,
    ...(state === 'ok'
      ? {}
      : { hint: 'remains of old rows cannot be cleared away while it lasts: end it, or what holds it open' }),
  };
}

function remains({ deadTuples, rows }: Facts): Finding {
  const isMany = deadTuples > DEAD_LEAST && deadTuples > rows;
  return {
    name: 'dead rows',
    state: isMany ? 'warning' : 'ok',
    detail: `${deadTuples} beside ${rows} living`,
    ...(isMany ? { hint: 'see that autovacuum runs and that no old transaction holds it up' } : {}),
  };
}

function nodes({ nodes: living }: Facts): Finding {
  const name = 'nodes';
  const told = living.map(({ id, version, state }) => `${id} (${version}, ${state})`).join(', ');
  return {
    name,
    state: 'ok',
    detail: living.length === 0 ? 'none alive' : `${living.length} alive: ${told}`,
  };
}
