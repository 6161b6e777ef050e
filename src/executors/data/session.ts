// One DuckDB connection that can reach nothing but the files of its job: opened, limited and locked before any SQL of a user's.

import { type DuckDBConnection, DuckDBInstance, StatementType } from '@duckdb/node-api';
import type { Json, JsonObject } from '../../domain/json.ts';
import { explain, placeInText, type ReadFile } from './failures.ts';
import { inspectExpression, inspectStatement, type SyntaxTree } from './guard.ts';
import { JobError } from './job-error.ts';
import type { SourceFile } from './readers.ts';
import { enclosed, identifier, listOf, literal } from './sql-text.ts';
import type { Relation } from './steps.ts';
import { toJson } from './values.ts';

/** DuckDB's own accounts leave out the allocator's overhead and buffers: this share of the limit is what it may account for. */
const ACCOUNTED_SHARE = 0.7;

/** The spill directory would not do: being DuckDB's own it is permitted, and an extension could be fetched into it. */
const NOWHERE = '/nonexistent';

/** What a session may use, and where. */
export interface SessionLimits {
  readonly memoryMb: number;
  readonly threads: number;
  readonly spillMb: number;
  /** The only directories it can read and write. */
  readonly directories: readonly string[];
  readonly spillDirectory: string;
}

/** A DuckDB without any data, opened ahead of the job that will lock and use it. */
export type OpenEngine = (limits: SessionLimits) => Promise<Session>;

/** Opens DuckDB; what it answers may be called once. */
export async function openEngine(): Promise<OpenEngine> {
  const instance = await DuckDBInstance.create(':memory:', {
    errors_as_json: 'true',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
  });
  const connection = await instance.connect();
  await connection.run(`
    SET TimeZone = 'UTC';
    SET enable_progress_bar = true;
    SET enable_progress_bar_print = false;
    CREATE SCHEMA work`);
  return limits => Session.lock(connection, limits);
}

/** DuckDB, locked. Errors are `JobError`s. */
export class Session {
  readonly #connection: DuckDBConnection;
  #files: readonly ReadFile[] = [];

  private constructor(connection: DuckDBConnection) {
    this.#connection = connection;
  }

  /** Takes all from the connection that the limits do not give, for good. */
  static async lock(connection: DuckDBConnection, limits: SessionLimits): Promise<Session> {
    const { memoryMb, threads, spillMb, directories, spillDirectory } = limits;
    await connection.run(`
      SET memory_limit = '${Math.ceil(memoryMb * ACCOUNTED_SHARE)}MiB';
      SET threads = ${threads};
      SET temp_directory = ${literal(spillDirectory)};
      SET max_temp_directory_size = '${spillMb}MiB';
      SET home_directory = '${NOWHERE}';
      SET extension_directory = '${NOWHERE}';
      SET allowed_directories = ${listOf(directories)};
      SET enable_external_access = false;
      SET lock_configuration = true`);
    return new Session(connection);
  }

  /** How much of the statement under way is done, from 0 to 1; 0 where DuckDB cannot tell. */
  get fraction(): number {
    const { percentage } = this.#connection.progress;
    return percentage > 0 ? Math.min(1, percentage / 100) : 0;
  }

  /** Remembers a file, so that an error about it names its source and place. */
  know(file: SourceFile, columns: readonly string[]): void {
    this.#files = [...this.#files.filter(known => known.file !== file), { file, columns }];
  }

  /** Runs a statement of ours. */
  async run(sql: string): Promise<void> {
    try {
      await this.#connection.run(sql);
    } catch (error) {
      throw await explain(error, this.#files);
    }
  }

  /** The rows of a statement of ours. */
  async rows(sql: string): Promise<JsonObject[]> {
    try {
      const reader = await this.#connection.runAndReadAll(sql);
      const names = reader.deduplicatedColumnNames();
      return reader
        .getRows()
        .map(row => Object.fromEntries(row.map((value, index) => [names[index] ?? '', toJson(value)])));
    } catch (error) {
      throw await explain(error, this.#files);
    }
  }

  /** The one number a statement of ours answers. */
  async count(sql: string): Promise<number> {
    const [row] = await this.rows(sql);
    return Number(Object.values(row ?? {})[0] ?? 0);
  }

  /** The columns of something to select from, in order. */
  async columns(relation: string): Promise<readonly { readonly name: string; readonly type: string }[]> {
    const rows = await this.rows(`DESCRIBE SELECT * FROM ${relation}`);
    return rows.map(row => ({ name: String(row.column_name), type: String(row.column_type) }));
  }

  /** Throws unless the text is one expression over what is declared. */
  async admitExpression(text: string, declared: ReadonlySet<string>): Promise<void> {
    const before = 'SELECT ';
    try {
      inspectExpression(await this.#parse(before + enclosed(text)), declared);
    } catch (error) {
      throw placed(error, text, before.length + 1);
    }
  }

  /** Creates `work.<name>` from a SELECT of ours, which may hold admitted expressions; `keep` computes it now. */
  async create(name: string, select: string, keep: boolean): Promise<Relation> {
    const before = `CREATE ${keep ? 'TABLE' : 'VIEW'} work.${identifier(name)} AS `;
    await this.#runUsers(before, select);
    return this.relation(`work.${identifier(name)}`);
  }

  /** Creates table `work.<name>` from a user's statement, refusing what is not one SELECT over what is declared. */
  async createFromSql(name: string, sql: string, declared: ReadonlySet<string>): Promise<Relation> {
    let isSummary: boolean;
    try {
      ({ isSummary } = inspectStatement(await this.#parse(sql), declared));
    } catch (error) {
      throw placed(error, sql, 0);
    }
    await this.#bind(sql);
    const table = `CREATE TABLE work.${identifier(name)} AS `;
    if (isSummary) await this.#runUsers(`${table}FROM (`, sql.replace(/;\s*$/, ''), '\n)');
    else await this.#runUsers(table, sql);
    return this.relation(`work.${identifier(name)}`);
  }

  /** A relation by its SQL name. */
  async relation(name: string): Promise<Relation> {
    return { name, columns: (await this.columns(name)).map(column => column.name) };
  }

  async #parse(sql: string): Promise<SyntaxTree> {
    const tree = await this.rows(
      `SELECT json_serialize_sql(${literal(sql)}, skip_null := true, skip_empty := true) AS tree`,
    );
    return JSON.parse(String(tree[0]?.tree)) as Json;
  }

  /** Binds the statement alone, so that an error's position is one in the user's own text. */
  async #bind(sql: string): Promise<void> {
    try {
      const statements = await this.#connection.extractStatements(sql);
      const prepared = await statements.prepare(0);
      const single = statements.count === 1 && prepared.statementType === StatementType.SELECT;
      prepared.destroySync();
      if (!single)
        throw new JobError('policy_violation', 'only one SELECT statement is run', { rule: 'statement' });
    } catch (error) {
      throw await explain(error, this.#files, { text: sql, offset: 0 });
    }
  }

  async #runUsers(before: string, text: string, after = ''): Promise<void> {
    const statement = { text, offset: Buffer.byteLength(before) };
    try {
      const statements = await this.#connection.extractStatements(before + text + after);
      if (statements.count !== 1) {
        throw new JobError('policy_violation', 'only one statement is run', { rule: 'statement' });
      }
      await this.#connection.run(before + text + after);
    } catch (error) {
      throw await explain(error, this.#files, statement);
    }
  }
}

/** The error with its position turned into a place in the user's text. */
function placed(error: unknown, text: string, offset: number): unknown {
  if (!(error instanceof JobError) || typeof error.details.position !== 'number') return error;
  const { position, ...details } = error.details;
  const place = placeInText(text, Math.max(0, Number(position) - offset));
  return new JobError(error.code, error.message, { ...details, ...place }, error);
}
