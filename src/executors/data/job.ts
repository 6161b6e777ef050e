// A job from files to files: opens the sources, runs the SQL or the steps, writes what came of it. Runs in the child process.

import { join } from 'node:path';
import { version } from '@duckdb/node-api';
import type { JsonObject } from '../../domain/json.ts';
import { JobError } from './job-error.ts';
import type { JobOrder, JobResult } from './messages.ts';
import type { DataFormat, Step } from './payload.ts';
import type { OpenEngine, Session } from './session.ts';
import { openSource } from './sources.ts';
import { identifier, literal } from './sql-text.ts';
import { compileStep, compileValidation, type Relation } from './steps.ts';

/** Rows given inline (`SAM-150`), and how long their JSON may be: the whole output has to fit a result. */
export const INLINE_ROWS_MAX = 1_000;
const INLINE_BYTES_MAX = 2_000_000;

/** DuckDB's version. */
export const ENGINE_VERSION = version();

/** Under way: tells how far it is. */
export interface Job {
  /** Of the stage under way, from 0 to 1. */
  fraction(): number;
  readonly result: Promise<JobResult>;
}

export { openEngine } from './session.ts';

/** Begins the job; `stage` is called as each of its stages begins. Its result rejects with a `JobError`. */
export function startJob(
  engine: OpenEngine,
  order: JobOrder,
  stage: (index: number, label: string) => void,
): Job {
  let session: Session | null = null;
  const labels = stagesOf(order);
  let next = 0;
  const enter = (): void => {
    stage(next, labels[next] ?? '');
    next++;
  };
  const run = async (): Promise<JobResult> => {
    const directories = ['src', 'out'].map(name => join(order.workspace, name));
    session = await engine({ ...order, directories, spillDirectory: join(order.workspace, 'spill') });
    return await work(session, order, enter);
  };
  return { fraction: () => session?.fraction ?? 0, result: run() };
}

function stagesOf({ sources, work, outputs }: JobOrder): string[] {
  const steps =
    'sql' in work ? ['Running SQL'] : work.steps.map((step, index) => `Step ${index + 1}: ${step.type}`);
  return [
    ...sources.map(({ name }) => `Reading ${name}`),
    ...steps,
    'Gathering the result',
    ...outputs.map(({ name }) => `Writing ${name}`),
  ];
}

async function work(session: Session, order: JobOrder, enter: () => void): Promise<JobResult> {
  let rowsIn = 0;
  for (const file of order.sources) {
    enter();
    rowsIn += await openSource(session, file);
  }
  await session.run('CREATE TABLE work.rejects (step INTEGER, failed_rules VARCHAR[], "row" JSON)');
  const declared = new Set(order.sources.map(({ name }) => name.toLowerCase()));
  const last =
    'sql' in order.work
      ? await runSql(session, order.work.sql, declared, enter)
      : await runSteps(session, order.work, declared, enter);
  enter();
  const result = await session.create('result', `SELECT * FROM ${last.name}`, !last.kept);
  const rowsOut = await session.count(`SELECT count(*) FROM ${result.name}`);
  const rowsRejected = await session.count('SELECT count(*) FROM work.rejects');
  for (const { format, path } of order.outputs) {
    enter();
    await session.run(`COPY ${result.name} TO ${literal(path)} (${COPY_OPTIONS[format]})`);
  }
  if (rowsRejected > 0) {
    await session.run(`COPY work.rejects TO ${literal(order.rejectsPath)} (${COPY_OPTIONS.ndjson})`);
  }
  const schema = await session.columns(result.name);
  const first = await session.rows(`SELECT * FROM ${result.name} LIMIT ${INLINE_ROWS_MAX}`);
  return { rowsIn, rowsOut, rowsRejected, schema, rows: fitting(first) };
}

const COPY_OPTIONS: Readonly<Record<DataFormat, string>> = {
  csv: 'FORMAT csv, HEADER true',
  json: 'FORMAT json, ARRAY true',
  ndjson: 'FORMAT json, ARRAY false',
  parquet: 'FORMAT parquet, COMPRESSION zstd',
};

/** A relation, and whether it is a table already. */
type Outcome = Relation & { readonly kept: boolean };

async function runSql(
  session: Session,
  sql: string,
  declared: ReadonlySet<string>,
  enter: () => void,
): Promise<Outcome> {
  enter();
  try {
    return { ...(await session.createFromSql('query', sql, declared)), kept: true };
  } catch (error) {
    throw about(error, { field: 'task_data.sql' });
  }
}

async function runSteps(
  session: Session,
  { steps, from }: { readonly steps: readonly Step[]; readonly from: string },
  declared: ReadonlySet<string>,
  enter: () => void,
): Promise<Outcome> {
  let current: Outcome = { ...(await session.relation(`main.${identifier(from)}`)), kept: false };
  for (const [index, step] of steps.entries()) {
    enter();
    try {
      current = await runStep(session, step, current, { declared, number: index + 1 });
    } catch (error) {
      const field = error instanceof JobError ? error.details.field : undefined;
      const path = field === undefined ? '' : `.${String(field)}`;
      throw about(error, { step: index + 1, step_type: step.type, field: `task_data.steps.${index}${path}` });
    }
  }
  return current;
}

async function runStep(
  session: Session,
  step: Step,
  input: Relation,
  { declared, number }: { readonly declared: ReadonlySet<string>; readonly number: number },
): Promise<Outcome> {
  const name = `step_${number}`;
  const admit = async (expressions: readonly { readonly field: string; readonly text: string }[]) => {
    for (const { field, text } of expressions) {
      try {
        await session.admitExpression(text, declared);
      } catch (error) {
        throw about(error, { field });
      }
    }
  };
  if (step.type === 'sql') {
    await session.run(`CREATE OR REPLACE VIEW main.input AS SELECT * FROM ${input.name}`);
    try {
      const made = await session.createFromSql(name, step.sql, new Set([...declared, 'input']));
      return { ...made, kept: true };
    } catch (error) {
      throw about(error, { field: 'sql' });
    }
  }
  if (step.type === 'validate') {
    const { marked, passed, rejected } = compileValidation(step, input, number);
    await admit(marked.expressions);
    const table = await session.create(`${name}_marked`, marked.select, marked.keep);
    await session.run(`INSERT INTO work.rejects ${rejected(table.name)}`);
    if (step.on_failure === 'fail') await failOnRejects(session, number);
    return { ...(await session.create(name, passed(table.name), false)), kept: false };
  }
  const joined = await joinedBy(session, step);
  const compiled = compileStep(step, input, () => joined);
  await admit(compiled.expressions);
  return { ...(await session.create(name, compiled.select, compiled.keep)), kept: compiled.keep };
}

async function joinedBy(session: Session, step: Step): Promise<Relation> {
  return step.type === 'join'
    ? await session.relation(`main.${identifier(step.with)}`)
    : { name: '', columns: [] };
}

async function failOnRejects(session: Session, step: number): Promise<void> {
  const broken = await session.rows(`
    SELECT rule, count(*) AS "rows" FROM (SELECT unnest(failed_rules) AS rule FROM work.rejects WHERE step = ${step})
    GROUP BY rule ORDER BY rule`);
  if (broken.length === 0) return;
  const rows = await session.count(`SELECT count(*) FROM work.rejects WHERE step = ${step}`);
  throw new JobError('task_failed', `${rows} rows break the rules of the validate step`, {
    rows_rejected: rows,
    failed_rules: broken,
  });
}

/** The error with more known about where it happened; what it says itself stands. */
function about(error: unknown, details: JsonObject): unknown {
  if (!(error instanceof JobError)) return error;
  return new JobError(error.code, error.message, { ...error.details, ...details }, error);
}

function fitting(rows: readonly JsonObject[]): readonly JsonObject[] {
  let left = INLINE_BYTES_MAX;
  const beyond = rows.findIndex(row => {
    left -= JSON.stringify(row).length;
    return left < 0;
  });
  return beyond < 0 ? rows : rows.slice(0, beyond);
}
