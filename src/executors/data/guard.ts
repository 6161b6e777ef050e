// Decides whether SQL may run: reads the tree DuckDB's own parser made of it and lets through one SELECT over declared sources.
// It says no early and by name; that nothing outside can be reached is DuckDB's doing (job.ts locks it), whatever passes here.

import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { JobError } from './job-error.ts';

/** What `json_serialize_sql` answers. */
export type SyntaxTree = Json;

/** Table functions that compute from their arguments alone. */
const TABLE_FUNCTIONS = new Set([
  'generate_series',
  'generate_subscripts',
  'json_each',
  'json_tree',
  'range',
  'regexp_split_to_table',
  'repeat',
  'repeat_row',
  'unnest',
]);

/** Scalar functions that read settings, the process or SQL in a string, or leave something behind. */
const SCALAR_FUNCTIONS = new Set([
  'current_setting',
  'currval',
  'extension_versions',
  'getenv',
  'getvariable',
  'json_execute_serialized_sql',
  'nextval',
  'user_agent',
  'write_log',
]);

/** DuckDB's mark for a node that stands nowhere in the text is the largest 64-bit number. */
const NOWHERE = 2 ** 53;

/** Whether the statement is a DESCRIBE or SUMMARIZE, which SQL allows in fewer places than a SELECT. */
export interface Inspected {
  readonly isSummary: boolean;
}

/**
 * Throws `task_failed` for SQL that does not parse (`details.position`) or is not one statement, `policy_violation` for a statement,
 * table or function that is not permitted. `declared` holds the tables' names in lower case.
 */
export function inspectStatement(tree: SyntaxTree, declared: ReadonlySet<string>): Inspected {
  const statements = statementsOf(tree);
  const [statement] = statements;
  if (statement === undefined || statements.length > 1) {
    throw new JobError('task_failed', `there must be one SQL statement; there are ${statements.length}`);
  }
  inspect(statement, declared);
  const node = isJsonObject(statement) ? statement.node : undefined;
  const from = isJsonObject(node) ? node.from_table : undefined;
  return { isSummary: isJsonObject(from) && from.type === 'SHOW_REF' };
}

/** The same for the tree of `SELECT (expression)`; throws `task_failed` unless it is that one expression and nothing beside it. */
export function inspectExpression(tree: SyntaxTree, declared: ReadonlySet<string>): void {
  inspectStatement(tree, declared);
  const [statement] = statementsOf(tree);
  const node = isJsonObject(statement) ? statement.node : undefined;
  const expected = new Set(['type', 'select_list', 'from_table', 'aggregate_handling']);
  const alone =
    isJsonObject(node) &&
    Object.keys(node).every(key => expected.has(key)) &&
    Array.isArray(node.select_list) &&
    node.select_list.length === 1 &&
    isJsonObject(node.from_table) &&
    node.from_table.type === 'EMPTY';
  if (!alone) throw new JobError('task_failed', 'this is not one expression');
}

function statementsOf(tree: SyntaxTree): readonly Json[] {
  if (!isJsonObject(tree)) return [];
  if (tree.error !== true) return Array.isArray(tree.statements) ? tree.statements : [];
  if (tree.error_type === 'parser') {
    const position = tree.position === undefined ? {} : { position: Number(tree.position) };
    throw new JobError('task_failed', `SQL: ${String(tree.error_message)}`, position);
  }
  throw new JobError(
    'policy_violation',
    'only SELECT statements are run, no statement that changes data, settings or files (a PIVOT needs its IN list)',
    { rule: 'statement' },
  );
}

function inspect(value: Json | undefined, tables: ReadonlySet<string>): void {
  if (Array.isArray(value)) for (const part of value) inspect(part, tables);
  if (!isJsonObject(value)) return;
  const within = new Set([...tables, ...commonTables(value)]);
  if (value.type === 'BASE_TABLE') inspectTable(value, within);
  if (value.type === 'TABLE_FUNCTION') inspectTableFunction(value);
  else if (value.class === 'FUNCTION' || value.class === 'WINDOW') inspectFunction(value);
  if (value.type === 'SHOW_REF' && value.query === undefined) refuse('show', 'SHOW', value);
  for (const [key, part] of Object.entries(value)) {
    // Its name was inspected as a table function's; its arguments are expressions like any other.
    if (value.type === 'TABLE_FUNCTION' && key === 'function' && isJsonObject(part)) {
      inspect(part.children, within);
    } else inspect(part, within);
  }
}

/** Names a WITH clause adds for everything below its node. */
function commonTables(node: JsonObject): string[] {
  const names = typeof node.cte_name === 'string' ? [node.cte_name.toLowerCase()] : [];
  const map = isJsonObject(node.cte_map) ? node.cte_map.map : undefined;
  if (!Array.isArray(map)) return names;
  const keys = map.map((entry: Json) => (isJsonObject(entry) ? String(entry.key).toLowerCase() : ''));
  return [...names, ...keys];
}

function inspectTable(node: JsonObject, tables: ReadonlySet<string>): void {
  const name = String(node.table_name);
  const qualified = node.schema_name !== undefined || node.catalog_name !== undefined;
  if (qualified || !tables.has(name.toLowerCase())) {
    const path = [node.catalog_name, node.schema_name, name].filter(part => part !== undefined).join('.');
    refuse('table', `"${path}" is not a declared source; reading it`, node);
  }
}

function inspectTableFunction(node: JsonObject): void {
  const call = isJsonObject(node.function) ? node.function : {};
  const name = String(call.function_name).toLowerCase();
  if (!TABLE_FUNCTIONS.has(name)) refuse('function', `the table function ${name}`, node);
}

function inspectFunction(node: JsonObject): void {
  const name = String(node.function_name).toLowerCase();
  if (SCALAR_FUNCTIONS.has(name)) refuse('function', `the function ${name}`, node);
}

function refuse(rule: string, what: string, node: JsonObject): never {
  const position = Number(node.query_location);
  throw new JobError('policy_violation', `${what} is not permitted`, {
    rule,
    ...(position < NOWHERE ? { position } : {}),
  });
}
