// The steps of a pipeline as SQL: a pure function from a step and the columns before it to one SELECT. What text of the user's it
// contains is listed, so that its caller can have each piece parsed alone before the whole is run.

import { JobError } from './job-error.ts';
import type { SortKey, Step, StepOf } from './payload.ts';
import { enclosed, identifier, literal, structOf } from './sql-text.ts';

/** Something to select from: how SQL names it, and its columns in order. */
export interface Relation {
  readonly name: string;
  readonly columns: readonly string[];
}

/** A piece of SQL the user wrote, and where in the step it stands. */
export interface Fragment {
  readonly field: string;
  readonly text: string;
}

/** A step as SQL. */
export interface CompiledStep {
  readonly select: string;
  /** To be computed once and kept, because computing it twice could differ or is asked of it twice. */
  readonly keep: boolean;
  readonly expressions: readonly Fragment[];
}

/** A `validate` step: marks every row with the rules it breaks, then parts the rows. */
export interface CompiledValidation {
  readonly marked: CompiledStep;
  /** Both select from the relation that `marked` became. */
  readonly passed: (marked: string) => string;
  readonly rejected: (marked: string) => string;
}

/** The step over `input`; throws `task_failed` naming a column that is not there. `sql` and `validate` are not for here. */
export function compileStep(
  step: Exclude<Step, StepOf<'sql' | 'validate'>>,
  input: Relation,
  joined: (source: string) => Relation,
): CompiledStep {
  switch (step.type) {
    case 'select':
      return plain(`SELECT ${all(step.columns, input, 'columns')} FROM ${input.name}`);
    case 'filter':
      return {
        select: `SELECT * FROM ${input.name} WHERE ${enclosed(step.where)}`,
        keep: false,
        expressions: [{ field: 'where', text: step.where }],
      };
    case 'derive':
      return derive(step, input);
    case 'cast': {
      const cast = step.on_error === 'null' ? 'TRY_CAST' : 'CAST';
      return replaced(step.columns, input, (name, type) => `${cast}(${name} AS ${type})`);
    }
    case 'rename':
      return rename(step, input);
    case 'join':
      return join(step, input, joined(step.with));
    case 'aggregate':
      return aggregate(step, input);
    case 'sort':
      return plain(`SELECT * FROM ${input.name} ORDER BY ${order(step.by, input, 'by')}`);
    case 'limit':
      return plain(`SELECT * FROM ${input.name} LIMIT ${step.count} OFFSET ${step.offset ?? 0}`);
    case 'deduplicate':
      return plain(deduplicate(step, input));
    case 'fill_missing':
      return replaced(step.columns, input, (name, fill) =>
        typeof fill === 'object'
          ? `coalesce(${name}, ${FILLS[fill.method]}(${name}) OVER ())`
          : `coalesce(${name}, ${literal(fill)})`,
      );
    case 'sample':
      return { ...plain(`SELECT * FROM ${input.name} USING SAMPLE ${sample(step)}`), keep: true };
  }
}

/** The validation of `input`; a rule that is NULL for a row is broken. `number` is the step's, from 1. */
export function compileValidation(
  step: StepOf<'validate'>,
  input: Relation,
  number: number,
): CompiledValidation {
  const mark = identifier(unused('broken_rules', input));
  const rules = step.rules.map(
    ({ name, check }) => `CASE WHEN ${enclosed(check)} THEN NULL ELSE ${literal(name)} END`,
  );
  const broken = `list_filter([${rules.join(', ')}], lambda rule: rule IS NOT NULL)`;
  const row = structOf(input.columns.map(name => [name, identifier(name)]));
  return {
    marked: {
      select: `SELECT *, ${broken} AS ${mark} FROM ${input.name}`,
      keep: true,
      expressions: step.rules.map(({ check }, index) => ({ field: `rules.${index}.check`, text: check })),
    },
    passed: marked => `SELECT ${list(input.columns)} FROM ${marked} WHERE len(${mark}) = 0`,
    rejected: marked => `SELECT ${number}, ${mark}, to_json(${row}) FROM ${marked} WHERE len(${mark}) > 0`,
  };
}

const FILLS = { mean: 'avg', median: 'median', mode: 'mode', min: 'min', max: 'max' } as const;

function plain(select: string): CompiledStep {
  return { select, keep: false, expressions: [] };
}

function derive(step: StepOf<'derive'>, input: Relation): CompiledStep {
  const derived = Object.entries(step.columns).map(([name, text]) => ({
    name,
    sql: `${enclosed(text)} AS ${identifier(name)}`,
  }));
  const kept = input.columns.map(
    column => derived.find(({ name }) => same(name, column))?.sql ?? identifier(column),
  );
  const added = derived
    .filter(({ name }) => !input.columns.some(column => same(name, column)))
    .map(({ sql }) => sql);
  return {
    select: `SELECT ${[...kept, ...added].join(', ')} FROM ${input.name}`,
    keep: false,
    expressions: texts(step.columns),
  };
}

/** All columns, the named ones computed anew. */
function replaced<Value>(
  changes: Readonly<Record<string, Value>>,
  input: Relation,
  compute: (name: string, value: Value) => string,
): CompiledStep {
  const changed = new Map(
    Object.entries(changes).map(([name, value]) => [find(name, input, `columns.${name}`), value]),
  );
  const selected = input.columns.map(column => {
    const name = identifier(column);
    const value = changed.get(column);
    return value === undefined ? name : `${compute(name, value)} AS ${name}`;
  });
  return plain(`SELECT ${selected.join(', ')} FROM ${input.name}`);
}

function rename(step: StepOf<'rename'>, input: Relation): CompiledStep {
  const names = new Map(
    Object.entries(step.columns).map(([from, to]) => [find(from, input, `columns.${from}`), to]),
  );
  const taken = new Set<string>();
  const selected = input.columns.map(column => {
    const name = names.get(column) ?? column;
    if (taken.has(name.toLowerCase())) {
      throw new JobError('task_failed', `two columns would be named "${name}"`, { field: 'columns' });
    }
    taken.add(name.toLowerCase());
    return `${identifier(column)} AS ${identifier(name)}`;
  });
  return plain(`SELECT ${selected.join(', ')} FROM ${input.name}`);
}

function join(step: StepOf<'join'>, left: Relation, right: Relation): CompiledStep {
  const kind = step.kind ?? 'inner';
  const pairs = (isList(step.on) ? step.on.map(name => [name, name]) : Object.entries(step.on)).map(
    ([mine = '', theirs = '']) => ({
      mine: find(mine, left, `on.${mine}`),
      theirs: find(theirs, right, `on.${theirs}`),
    }),
  );
  const condition = pairs
    .map(({ mine, theirs }) => `l.${identifier(mine)} = r.${identifier(theirs)}`)
    .join(' AND ');
  const from = `FROM ${left.name} AS l ${kind.toUpperCase()} JOIN ${right.name} AS r ON ${condition}`;
  if (kind === 'semi' || kind === 'anti') return plain(`SELECT l.* ${from}`);

  const mine = left.columns.map(column => {
    const name = identifier(column);
    const key = pairs.find(pair => pair.mine === column);
    // A row that only the right side has must not lose its key.
    if (key === undefined || kind === 'inner' || kind === 'left') return `l.${name}`;
    return `coalesce(l.${name}, r.${identifier(key.theirs)}) AS ${name}`;
  });
  const theirs = right.columns
    .filter(column => !pairs.some(pair => pair.theirs === column))
    .map(column => {
      const clashes = left.columns.some(name => same(name, column));
      return `r.${identifier(column)} AS ${identifier(clashes ? column + (step.suffix ?? '_right') : column)}`;
    });
  return plain(`SELECT ${[...mine, ...theirs].join(', ')} ${from}`);
}

function aggregate(step: StepOf<'aggregate'>, input: Relation): CompiledStep {
  const groups = step.group_by === undefined ? [] : step.group_by.map(name => find(name, input, 'group_by'));
  const computed = Object.entries(step.columns).map(
    ([name, text]) => `${enclosed(text)} AS ${identifier(name)}`,
  );
  const selected = [...groups.map(identifier), ...computed].join(', ');
  const grouping = groups.length === 0 ? '' : ` GROUP BY ${list(groups)}`;
  return {
    select: `SELECT ${selected} FROM ${input.name}${grouping}`,
    keep: false,
    expressions: texts(step.columns),
  };
}

function deduplicate(step: StepOf<'deduplicate'>, input: Relation): string {
  const distinct = step.columns === undefined ? '' : ` ON (${all(step.columns, input, 'columns')})`;
  const by = step.order_by === undefined ? '' : ` ORDER BY ${order(step.order_by, input, 'order_by')}`;
  return `SELECT DISTINCT${distinct} * FROM ${input.name}${by}`;
}

function sample(step: StepOf<'sample'>): string {
  const size =
    step.count === undefined ? `bernoulli(${step.percent ?? 100} PERCENT)` : `reservoir(${step.count} ROWS)`;
  return step.seed === undefined ? size : `${size} REPEATABLE (${step.seed})`;
}

function order(keys: readonly (string | SortKey)[], input: Relation, field: string): string {
  return keys
    .map(key => (typeof key === 'string' ? { column: key } : key))
    .map(({ column, direction = 'asc', nulls = 'last' }: SortKey) => {
      const name = identifier(find(column, input, field));
      return `${name} ${direction.toUpperCase()} NULLS ${nulls.toUpperCase()}`;
    })
    .join(', ');
}

/** The column as the relation spells it. */
function find(name: string, relation: Relation, field: string): string {
  const found = relation.columns.find(column => same(column, name));
  if (found !== undefined) return found;
  throw new JobError(
    'task_failed',
    `there is no column "${name}"; there are ${relation.columns.join(', ')}`,
    {
      field,
    },
  );
}

function all(names: readonly string[], input: Relation, field: string): string {
  return list(names.map(name => find(name, input, field)));
}

function list(names: readonly string[]): string {
  return names.map(identifier).join(', ');
}

function texts(columns: Readonly<Record<string, string>>): Fragment[] {
  return Object.entries(columns).map(([name, text]) => ({ field: `columns.${name}`, text }));
}

function same(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

function unused(name: string, { columns }: Relation): string {
  return columns.some(column => same(column, name)) ? unused(`${name}_`, { name: '', columns }) : name;
}

function isList(on: StepOf<'join'>['on']): on is readonly string[] {
  return Array.isArray(on);
}
