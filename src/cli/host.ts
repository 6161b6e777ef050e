// What the command line borrows from the world, so that it can be run by a test as well as by a shell.

import type { Json, JsonObject } from '../domain/json.ts';
import type { Clock } from '../sdk/clock.ts';

/** Where text goes. */
export interface TextSink {
  write(text: string): unknown;
}

/** Flags of `serve`, in the words of the settings; absent ones come from elsewhere. */
export interface ServeFlags {
  readonly port?: string;
  readonly host?: string;
  readonly dataDir?: string;
  readonly databaseUrl?: string;
  readonly configFile?: string;
}

/** A server that is up. */
export interface Serving {
  readonly url: string;
  readonly dataDir: string;
  /** Resolves with the exit code once the server was told to stop, and has. */
  readonly ended: Promise<number>;
}

/** One thing `doctor` looked at. */
export interface Finding {
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'failed';
  readonly detail: string;
  /** What to do about it. */
  readonly hint?: string;
}

/** The commands that are more than a client: what the program itself does. A command whose action is absent is not offered. */
export interface AppActions {
  readonly version: string;
  readonly serve?: (flags: ServeFlags) => Promise<Serving>;
  readonly demo?: (options: { readonly json: boolean }) => Promise<number>;
  /** Writes a copy into the directory and says what it holds. */
  readonly backup?: (options: BackupOptions & { readonly to: string }) => Promise<object>;
  /** Checks a copy without restoring it. */
  readonly verifyBackup?: (from: string) => Promise<object>;
  readonly restore?: (
    options: BackupOptions & { readonly from: string; readonly force: boolean },
  ) => Promise<object>;
  /** Brings the database to this program's schema, or only looks. */
  readonly migrate?: (options: BackupOptions & { readonly check: boolean }) => Promise<MigratedStore>;
  /** Moves a single node's store into an empty one that nodes share, telling how far it is. */
  readonly copy?: (
    route: { readonly from: string; readonly to: string },
    onProgress: (progress: { readonly table: string; readonly rows: number; readonly of: number }) => void,
  ) => Promise<CopiedStore>;
  /** Judges a message without a server. */
  readonly validateMessage?: (message: Json, protocol: string) => Promise<JudgedMessage>;
  /** Puts a message into another wire's words without a server. */
  readonly translateMessage?: (
    message: Json,
    way: { readonly from: string; readonly to: string },
  ) => Promise<JsonObject>;
  /** Looks at this machine and the settings. */
  readonly examine?: (flags: ServeFlags) => Promise<readonly Finding[]>;
}

/** What is to be said of a message. */
export interface JudgedMessage {
  readonly valid: boolean;
  /** Null where it could not be read. */
  readonly type: string | null;
  /** Which field breaks which requirement; a fault of the whole has no field. */
  readonly faults: readonly {
    readonly field: string;
    readonly message: string;
    /** The id of what is broken, such as `ARMY-2`. */
    readonly requirement: string | null;
  }[];
  /** What only a server can tell. */
  readonly assumed: readonly string[];
}

/** What a migration did, or would do. */
export interface MigratedStore {
  readonly database: string;
  /** 0 where there was none. */
  readonly schema_from: number;
  readonly schema_to: number;
  readonly changes: boolean;
}

/** What was moved into another store, and what was not. */
export interface CopiedStore {
  readonly from: string;
  readonly to: string;
  readonly rows: number;
  readonly tables: readonly { readonly table: string; readonly rows: number; readonly checksum: string }[];
  readonly altered: Readonly<Record<string, number>>;
  readonly blobs: number;
  readonly blobs_missing: number;
  /** Null where they went along. */
  readonly blobs_stay_in: string | null;
  readonly keys_in: readonly string[];
}

/** Which installation is meant. */
export interface BackupOptions {
  readonly dataDir?: string;
  readonly databaseUrl?: string;
  readonly configFile?: string;
}

/** Everything a command may touch. */
export interface CliHost {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdout: TextSink;
  readonly stderr: TextSink;
  /** Whether standard output is one. */
  readonly isTerminal: boolean;
  /** Width of the terminal, in characters. */
  readonly columns: number;
  readStdin(): Promise<string>;
  /** Aborts when the user wants no more (Ctrl-C). */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly app: AppActions;
}
