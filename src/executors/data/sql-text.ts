// How names and values become SQL text that means them and nothing else.

/** A name as a quoted identifier. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A JSON scalar as a literal. */
export function literal(value: string | number | boolean): string {
  return typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value);
}

/** A list literal of strings. */
export function listOf(values: readonly string[]): string {
  return `[${values.map(literal).join(', ')}]`;
}

/** A struct literal; its values are SQL already. */
export function structOf(fields: readonly (readonly [string, string])[]): string {
  return `{${fields.map(([name, value]) => `${literal(name)}: ${value}`).join(', ')}}`;
}

/** A user's expression, closed so that neither a comment nor a lower operator in it reaches beyond it. */
export function enclosed(expression: string): string {
  return `(${expression}\n)`;
}
