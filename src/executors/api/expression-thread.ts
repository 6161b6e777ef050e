// The thread that evaluates expressions nobody vouches for. Started by expressions.ts, which kills it when it takes too long. That is not
// enough: one step can make a string or an array so large that the engine of JavaScript gives up, and the whole process with it. So every
// step is measured here, and what it would make is known to be small before it is made.

import { parentPort } from 'node:worker_threads';
import { search, TreeInterpreter } from '@jmespath-community/jmespath';
import type { Json } from '../../domain/json.ts';

/** Expressions to evaluate over one value. */
export interface ExpressionJob {
  readonly expressions: readonly string[];
  readonly value: Json;
}

/** Their values as JSON, in order; or what is wrong with the one of that number. */
export type ExpressionAnswer =
  | { readonly json: readonly string[] }
  | { readonly fault: string; readonly index: number };

/** What is written of all values of a job, and of one by `to_string` or `join`, in characters. */
const WRITTEN_MAX = 16 * 1_048_576;
/** What the steps of one expression make, in array elements and characters. */
const MADE_MAX = 8 * 1_048_576;
/** The kinds of steps that make something; the others find what is there. */
const MAKERS = new Set([
  'FilterProjection',
  'Flatten',
  'Function',
  'MultiSelectList',
  'Projection',
  'Slice',
  'ValueProjection',
]);

class TooLarge extends Error {
  constructor() {
    super('makes too large a value');
  }
}

let made = 0;

/** Puts the meter into the library, of which this thread has a copy of its own. */
function meter(): void {
  const steps = Object.getPrototypeOf(TreeInterpreter) as Pick<typeof TreeInterpreter, 'visit'>;
  const { visit } = steps;
  steps.visit = function measured(this: typeof TreeInterpreter, node, value) {
    const found = visit.call(this, node, value);
    if (!MAKERS.has(node.type)) return found;
    made += 1 + sizeOf(found);
    if (made > MADE_MAX) throw new TooLarge();
    return found;
  };
  const functions = Object.getPrototypeOf(TreeInterpreter.runtime) as Pick<
    typeof TreeInterpreter.runtime,
    'callFunction'
  >;
  const { callFunction } = functions;
  functions.callFunction = function measured(this: typeof TreeInterpreter.runtime, name, values) {
    if (name === 'to_string') weigh(values[0], WRITTEN_MAX);
    if (name === 'join') weigh(values, WRITTEN_MAX - lengthOf(values[0]) * lengthOf(values[1]));
    return callFunction.call(this, name, values);
  };
}

function sizeOf(value: unknown): number {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return lengthOf(value);
  return Object.keys(value).length;
}

function lengthOf(value: unknown): number {
  return typeof value === 'string' || Array.isArray(value) ? value.length : 0;
}

/** What is left of the room once the value is written; what shares parts in memory may be far larger then. Throws for none. */
function weigh(value: unknown, room: number): number {
  let left = room - 8;
  if (left < 0) throw new TooLarge();
  if (typeof value === 'string') left -= value.length;
  if (Array.isArray(value)) for (const one of value) left = weigh(one, left);
  else if (typeof value === 'object' && value !== null) {
    for (const [name, one] of Object.entries(value)) left = weigh(one, left - name.length);
  }
  if (left < 0) throw new TooLarge();
  return left;
}

function answer({ expressions, value }: ExpressionJob): ExpressionAnswer {
  const json: string[] = [];
  let room = WRITTEN_MAX;
  for (const [index, expression] of expressions.entries()) {
    try {
      made = 0;
      const found = search(value as never, expression);
      room = weigh(found, room);
      // A name as `constructor` finds a function, which has no JSON.
      const written: string | undefined = JSON.stringify(found);
      json.push(written ?? 'null');
    } catch (error) {
      return { fault: error instanceof Error ? error.message : String(error), index };
    }
  }
  return { json };
}

if (parentPort !== null) {
  const parent = parentPort;
  meter();
  parent.on('message', (job: ExpressionJob) => parent.postMessage(answer(job)));
  parent.postMessage('ready');
}
