// JMESPath expressions: what they are and what they speak of, known at submission; and their values, found in a thread that is killed
// when it takes too long, since a short expression can make a value without end.

import { compile } from '@jmespath-community/jmespath';
import { DomainError } from '../../domain/errors.ts';
import type { Json } from '../../domain/json.ts';
import { beside } from '../../runtime/beside.ts';
import type { Clock } from '../../runtime/clock.ts';
import { KillableThread } from '../../runtime/killable-thread.ts';
import type { ExpressionAnswer, ExpressionJob } from './expression-thread.ts';

/** An expression that parses. */
export interface Expression {
  readonly text: string;
  /** Whether it only finds, at a cost that is known. */
  readonly isPlain: boolean;
  /** Every name it has, wherever it stands. */
  readonly names: ReadonlySet<string>;
  /** What it takes by name from the places templates see: `{place: 'responses', name: 'login'}`. */
  readonly references: readonly { readonly place: string; readonly name: string }[];
}

const JOB_MS_MAX = 1_000;
/** What all expressions of a task may come to in characters, each counting some more than it has. */
const TEXT_MAX = 200_000;
const TEXT_EACH = 100;
/** Kinds of nodes that find and make nothing: their cost is the length of the expression. */
const PLAIN = new Set([
  'Current',
  'Field',
  'Index',
  'IndexExpression',
  'Literal',
  'OrExpression',
  'Root',
  'Subexpression',
]);
const NESTING_MAX = 200;
/** They can make anything of any length out of nothing, which templates have no need for. */
const NOT_OFFERED = new Set(['pad_left', 'pad_right', 'replace']);

/** How much there is to parse in one task. */
export class ParseBudget {
  #left = TEXT_MAX;

  /** Throws an `Error` where it is too much. */
  spend(text: string): void {
    this.#left -= text.length + TEXT_EACH;
    if (this.#left < 0) throw new Error('the task has too many expressions');
  }
}

/** Parses it; throws an `Error` whose message says what is wrong. */
export function parseExpression(text: string, budget: ParseBudget): Expression {
  budget.spend(text);
  let isPlain = true;
  const names = new Set<string>();
  const references: { place: string; name: string }[] = [];
  const walk = (node: unknown, depth: number): void => {
    if (typeof node !== 'object' || node === null) return;
    if (depth > NESTING_MAX) throw new Error('it is nested too deep');
    const { type, name, left, right } = node as Record<string, unknown>;
    if (typeof type === 'string' && !PLAIN.has(type)) isPlain = false;
    if (type === 'Literal') return;
    if (type === 'Function' && NOT_OFFERED.has(String(name))) throw new Error(`${name} is not offered`);
    if (type === 'Field') names.add(String(name));
    if (type === 'Root' || type === 'Current') names.add('$');
    const place = fieldOf(left, 'right');
    const taken = fieldOf(right, 'left');
    if (type === 'Subexpression' && place !== null && taken !== null) references.push({ place, name: taken });
    for (const child of Object.values(node)) walk(child, depth + 1);
  };
  walk(parsed(text), 0);
  return { text, names, references, isPlain };
}

function parsed(text: string): unknown {
  try {
    return compile(text);
  } catch (error) {
    throw new Error(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** The name a node is, or the one nearest to the dot: of `$.a` and `a[0]`, `a`. */
function fieldOf(node: unknown, side: 'left' | 'right'): string | null {
  if (typeof node !== 'object' || node === null) return null;
  const { type, name, left, right } = node as Record<string, unknown>;
  if (type === 'Field') return String(name);
  if (type === 'Subexpression' && side === 'right') {
    const isRoot = typeof left === 'object' && left !== null && 'type' in left && left.type === 'Root';
    return isRoot ? fieldOf(right, side) : null;
  }
  return type === 'IndexExpression' && side === 'left' ? fieldOf(left, side) : null;
}

/** Evaluates expressions, one job at a time. */
export class Expressions {
  readonly #thread: KillableThread<ExpressionJob, ExpressionAnswer>;

  constructor(clock: Clock) {
    this.#thread = new KillableThread(clock, {
      file: beside(import.meta.url, 'expression-thread'),
      memoryMb: 128,
      jobMsMax: JOB_MS_MAX,
      killed: ({ expressions }, excess) =>
        new DomainError(
          'task_failed',
          `the expressions take too ${excess === 'time' ? 'long' : 'much memory'} to evaluate`,
          { details: { expressions } },
        ),
    });
  }

  /** Their values over one value, `null` where there is none; throws `task_failed` naming the expression that has no value at all. */
  async evaluate(expressions: readonly Expression[], value: Json): Promise<readonly Json[]> {
    if (expressions.length === 0) return [];
    const answer = await this.#thread.run({ expressions: expressions.map(({ text }) => text), value });
    if ('json' in answer) return answer.json.map(text => JSON.parse(text) as Json);
    throw new DomainError(
      'task_failed',
      `the expression ${expressions[answer.index]?.text}: ${answer.fault}`,
      {
        details: { expression: expressions[answer.index]?.text },
      },
    );
  }

  /** Lets go of the thread; a later evaluation starts another. */
  stop(): Promise<void> {
    return this.#thread.stop();
  }
}
