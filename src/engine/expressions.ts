// Expressions in workflows: JMESPath without what could make a value larger than it was, so that the cost of an expression is known before
// it is evaluated, on the spot and without a thread: what it looks at, times how often it looks at all of it (docs/decisions/0014).

import { compile, TreeInterpreter } from '@jmespath-community/jmespath';
import { DomainError } from '../domain/errors.ts';
import type { Json, JsonObject } from '../domain/json.ts';

/** An expression that parses and is permitted. */
export interface Expression {
  readonly text: string;
  /** Steps it speaks of, and whether of their output. */
  readonly steps: ReadonlyMap<string, { readonly output: boolean }>;
  /** Every name it begins with. */
  readonly roots: ReadonlySet<string>;
  readonly tree: ReturnType<typeof compile>;
  /** How often it may look at all there is. */
  readonly looks: number;
}

/** How much there is to parse in one workflow, in characters. */
export class ParseBudget {
  #left = 1_000_000;

  /** Throws an `Error` where it is too much. */
  spend(text: string): void {
    if (text.length > EXPRESSION_LENGTH_MAX) throw new Error('it is too long');
    this.#left -= text.length + TEXT_EACH;
    if (this.#left < 0) throw new Error('the workflow has too many expressions');
  }
}

/** Characters of an expression at most. */
export const EXPRESSION_LENGTH_MAX = 2_000;
const TEXT_EACH = 50;
const NESTING_MAX = 60;
/** What an expression may look at in all, in values and characters. */
const LOOKED_AT_MAX = 16_777_216;
/** Whatever an expression does once for each element of something. */
const LOOKS_OF_PROJECTION = 4;

/** Kinds of nodes by how often they look at all there is below them. */
const LOOKS: Readonly<Record<string, number>> = {
  AndExpression: 0,
  Arithmetic: 0,
  Comparator: 1,
  Current: 0,
  Field: 0,
  FilterProjection: LOOKS_OF_PROJECTION,
  Flatten: 1,
  Function: 1,
  Identity: 0,
  Index: 0,
  IndexExpression: 0,
  Literal: 0,
  NotExpression: 0,
  OrExpression: 0,
  Pipe: 0,
  Projection: LOOKS_OF_PROJECTION,
  Slice: 1,
  Subexpression: 0,
  Ternary: 0,
  Unary: 0,
  ValueProjection: LOOKS_OF_PROJECTION,
};

/** None makes more than it is given, but for `to_string` and `join`, which may stand once. */
const FUNCTIONS = new Set([
  ...['abs', 'avg', 'ceil', 'contains', 'ends_with', 'floor', 'join', 'keys', 'length', 'lower', 'max'],
  ...['min', 'not_null', 'reverse', 'sort', 'starts_with', 'sum', 'to_array', 'to_number', 'to_string'],
  ...['trim', 'type', 'upper', 'values'],
]);
const ONCE = new Set(['join', 'to_string']);

/** Parses it; throws an `Error` whose message says what is wrong. */
export function parseExpression(text: string, budget: ParseBudget): Expression {
  budget.spend(text);
  const tree = parsed(text);
  const reading = new Reading();
  reading.read(tree, 0, false);
  const { steps, roots, looks } = reading;
  return { text, steps, roots, tree, looks };
}

/** Its value, null where there is none; throws `task_failed` naming the expression that has none at all, or would look at too much. */
export function evaluate({ text, tree, looks }: Expression, value: JsonObject): Json {
  if (looks > 0 && sizeOf(value, LOOKED_AT_MAX / looks) < 0) throw fault(text, 'looks at too much');
  try {
    const found: unknown = TreeInterpreter.search(tree, value as never);
    // A name as `constructor` finds a function, which is no JSON.
    return typeof found === 'function' || found === undefined ? null : (found as Json);
  } catch (error) {
    throw fault(text, error instanceof Error ? error.message : String(error));
  }
}

/** True for what counts as yes; throws `task_failed` where the condition is neither true nor false. */
export function holds(condition: Expression, value: JsonObject): boolean {
  const found = evaluate(condition, value);
  if (typeof found === 'boolean') return found;
  throw fault(condition.text, found === null ? 'has no value' : 'is neither true nor false');
}

/** What is wrong with an expression that was evaluated (`SAM-166`). */
export function fault(expression: string, what: string): DomainError {
  return new DomainError('task_failed', `\${{ ${expression} }} ${what}`, { details: { expression } });
}

function parsed(text: string): ReturnType<typeof compile> {
  try {
    return compile(text);
  } catch (error) {
    throw new Error(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

type Node = Readonly<Record<string, unknown>>;

/** Walks through a parsed expression and notes what matters. */
class Reading {
  readonly steps = new Map<string, { output: boolean }>();
  readonly roots = new Set<string>();
  readonly #once = new Set<string>();
  looks = 0;

  /** `isInside`: names are looked for in an element, not in what the workflow offers. */
  read(node: unknown, depth: number, isInside: boolean): void {
    if (Array.isArray(node)) {
      for (const one of node) this.read(one, depth, isInside);
      return;
    }
    if (!isNode(node)) return;
    if (depth > NESTING_MAX) throw new Error('it is nested too deep');
    const { type } = node;
    const looks = LOOKS[type];
    if (looks === undefined) throw new Error(`${WORDS[type] ?? type} is not offered`);
    this.looks += looks;
    if (type === 'Literal') return;
    if (type === 'Function') this.#call(String(node.name));
    const chain = chainOf(node);
    if (chain !== null) {
      if (!isInside) this.#reference(chain);
      return;
    }
    for (const [name, child] of Object.entries(node))
      this.read(child, depth + 1, isInside || entersElements(type, name));
  }

  #call(name: string): void {
    if (!FUNCTIONS.has(name)) throw new Error(`${name} is not offered`);
    if (!ONCE.has(name)) return;
    if (this.#once.has(name)) throw new Error(`${name} may stand once`);
    this.#once.add(name);
  }

  #reference([root = '', step, part]: readonly string[]): void {
    this.roots.add(root);
    if (root !== 'steps') return;
    if (step === undefined) throw new Error('steps are looked at one by one, as steps.<id>');
    const known = this.steps.get(step) ?? { output: false };
    this.steps.set(step, { output: known.output || part === undefined || part === 'output' });
  }
}

const WORDS: Readonly<Record<string, string>> = {
  ExpressionReference: '&',
  LetExpression: 'let',
  MultiSelectHash: '{…}',
  MultiSelectList: '[…, …]',
  Root: '$',
};

function isNode(value: unknown): value is Node & { readonly type: string } {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

function entersElements(type: string, child: string): boolean {
  if (type === 'Pipe' || type === 'Subexpression') return child === 'right';
  return (
    (type.endsWith('Projection') && child === 'right') ||
    (type === 'FilterProjection' && child === 'condition')
  );
}

/** The names of `a.b.c`; null for anything else. */
function chainOf(node: unknown): readonly string[] | null {
  if (!isNode(node)) return null;
  if (node.type === 'Field') return [String(node.name)];
  if (node.type !== 'Subexpression' || !isNode(node.right) || node.right.type !== 'Field') return null;
  const left = chainOf(node.left);
  return left === null ? null : [...left, String(node.right.name)];
}

/** What is left of the room after all values and characters were counted; negative where there was too little. */
export function sizeOf(value: Json | undefined, room: number): number {
  let left = room - 1;
  if (typeof value === 'string') return left - value.length;
  if (typeof value !== 'object' || value === null) return left;
  const entries: readonly (Json | undefined)[] = Array.isArray(value) ? value : Object.values(value);
  for (const one of entries) {
    left = sizeOf(one, left);
    if (left < 0) return left;
  }
  return left;
}
