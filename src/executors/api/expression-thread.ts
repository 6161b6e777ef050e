// The thread that evaluates expressions nobody vouches for. Started by expressions.ts, which kills it when it takes too long.

import { parentPort } from 'node:worker_threads';
import { search } from '@jmespath-community/jmespath';
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

/** Values together; what shares parts in memory may be far larger once it is written. */
const JSON_LENGTH_MAX = 16 * 1_048_576;

function answer({ expressions, value }: ExpressionJob): ExpressionAnswer {
  const json: string[] = [];
  let room = JSON_LENGTH_MAX;
  for (const [index, expression] of expressions.entries()) {
    try {
      // A name as `constructor` finds a function, which has no JSON.
      const found: string | undefined = JSON.stringify(search(value as never, expression));
      json.push(found ?? 'null');
      room -= found?.length ?? 0;
      if (room < 0) return { fault: 'makes too large a value', index };
    } catch (error) {
      return { fault: error instanceof Error ? error.message : String(error), index };
    }
  }
  return { json };
}

if (parentPort !== null) {
  const parent = parentPort;
  parent.on('message', (job: ExpressionJob) => parent.postMessage(answer(job)));
  parent.postMessage('ready');
}
