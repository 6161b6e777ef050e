// Calls of a verb gathered while the ones before are under way, and sent as one statement. If one of them is refused, all are
// asked again alone, so that it is refused alone.

import { DomainError } from '../../domain/errors.ts';
import { Batcher } from '../../runtime/batcher.ts';

/** Calls that go together at most. */
const CALLS_MAX = 300;

/** Turns a statement over many calls into one over each; `run` answers them in order. */
export function gathered<Call, Answer>(
  run: (calls: readonly Call[]) => Promise<readonly Answer[]>,
  { underWayMax = 1 }: { readonly underWayMax?: number } = {},
): (call: Call) => Promise<Answer> {
  const batcher = new Batcher<Call, () => Answer>(
    async calls => {
      try {
        const answers = await run(calls);
        return answers.map(answer => () => answer);
      } catch (error) {
        // Where the database is at fault, or nobody knows what happened, asking again is for the caller.
        if (calls.length === 1 || error instanceof DomainError) throw error;
        return alone(calls, run);
      }
    },
    { batchMax: CALLS_MAX, underWayMax },
  );
  return async call => {
    const answer = await batcher.add(call);
    return answer();
  };
}

/** What was answered to the items of many calls, back by call. */
export function byCall<Answer>(
  calls: readonly { readonly length: number }[],
  answers: readonly Answer[],
): readonly (readonly Answer[])[] {
  let at = 0;
  return calls.map(({ length }) => {
    at += length;
    return answers.slice(at - length, at);
  });
}

async function alone<Call, Answer>(
  calls: readonly Call[],
  run: (calls: readonly Call[]) => Promise<readonly Answer[]>,
): Promise<readonly (() => Answer)[]> {
  const answers: (() => Answer)[] = [];
  for (const call of calls) {
    try {
      const [answer] = await run([call]);
      answers.push(() => answer as Answer);
    } catch (error) {
      answers.push(() => {
        throw error;
      });
    }
  }
  return answers;
}
