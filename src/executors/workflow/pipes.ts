// How the steps of a pipeline are joined: who writes what, and who reads it, from what was written for the steps (`SAM-229`).

import { DomainError } from '../../domain/errors.ts';
import type { PipeMode, PipeReader, TaskPipes } from '../../domain/pipe.ts';
import type { Step, StepKind } from '../../domain/workflow.ts';
import { childId } from './child-order.ts';
import type { WrittenStep } from './payload.ts';

/** One step's pipes, other steps by their ids. */
interface Pipes {
  readonly inputs: ReadonlyMap<string, { readonly step: string; readonly output: string }>;
  readonly outputs: ReadonlyMap<string, { readonly mode: PipeMode; readonly readers: readonly Reader[] }>;
}

interface Reader {
  readonly step: string;
  readonly input: string;
}

/** The pipes of every step that has any. */
export type StepPipes = ReadonlyMap<string, Pipes>;

/** The pipes of all steps; throws `unprocessable` for an input that nobody writes and an output that nobody reads. */
export function pipesIn(steps: readonly WrittenStep[]): StepPipes {
  const readers = new Map<string, Reader[]>();
  const found = new Map<string, Pipes>();
  for (const { id, inputs = {} } of steps)
    for (const [input, from] of Object.entries(inputs))
      readers.set(from, [...(readers.get(from) ?? []), { step: id, input }]);
  for (const { id, inputs = {}, outputs = {} } of steps) {
    const written = Object.entries(outputs).map(([output, { mode = 'stream' }]) => {
      const reference = `${id}.${output}`;
      const who = readers.get(reference);
      readers.delete(reference);
      if (who === undefined) throw unconnected([id], `nobody reads what ${id} writes as ${output}`);
      return [output, { mode, readers: who }] as const;
    });
    const read = Object.entries(inputs).map(([input, from]) => {
      const [step = '', output = ''] = from.split('.');
      return [input, { step, output }] as const;
    });
    if (written.length + read.length > 0) found.set(id, { inputs: new Map(read), outputs: new Map(written) });
  }
  for (const [from, [reader]] of readers)
    throw unconnected([reader?.step ?? ''], `${reader?.step} reads ${from}, which no step has as an output`);
  return found;
}

/** What the step reads of which others, as the graph has it. */
export function readsOf(id: string, pipes: StepPipes): Step['reads'] {
  return [...(pipes.get(id)?.inputs.values() ?? [])].map(({ step, output }) => ({
    step,
    mode: pipes.get(step)?.outputs.get(output)?.mode ?? 'stream',
  }));
}

/** The step's pipes as its task knows them; null for a step without any. */
export function taskPipes(pipes: StepPipes, parent: string, id: string): TaskPipes | null {
  const own = pipes.get(id);
  if (own === undefined) return null;
  const taskOf = (step: string): string => childId(parent, step, null);
  const readerOf = ({ step, input }: Reader): PipeReader => ({ task: taskOf(step), input });
  return {
    inputs: Object.fromEntries(
      [...own.inputs].map(([input, { step, output }]) => [input, { task: taskOf(step), output }]),
    ),
    outputs: Object.fromEntries(
      [...own.outputs].map(([output, { mode, readers }]) => [
        output,
        { mode, readers: readers.map(readerOf) },
      ]),
    ),
  };
}

/** What is wrong with the pipes of a step, whatever the others are. */
export function pipeMisuses(step: WrittenStep, kind: StepKind): readonly string[] {
  const inputs = Object.keys(step.inputs ?? {}).length;
  const outputs = Object.keys(step.outputs ?? {}).length;
  if (kind === 'task' && inputs + outputs > 0 && step.task_type !== 'custom')
    return ['has inputs or outputs, which a task of a built-in type cannot use: make it a stage'];
  if (kind !== 'stage') return [];
  return [
    ...(inputs + (step.items === undefined ? 0 : 1) === 1 ? [] : ['needs one input, or items']),
    ...(outputs > 1 ? ['has several outputs, and a stage has one at most'] : []),
  ];
}

function unconnected(steps: readonly string[], message: string): DomainError {
  return new DomainError('unprocessable', message, { details: { fault: 'unconnected_pipe', steps } });
}
