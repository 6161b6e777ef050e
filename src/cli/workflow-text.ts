// How workflows look in a terminal: a line a step in the order they can run, with what it comes after and how it stands.

import { isJsonObject, type Json, type JsonObject } from '../domain/json.ts';
import type { PipeView, WorkflowRunView } from '../sdk/workflows.ts';
import { bytesText, type Output, type Paint, table } from './output.ts';

const STYLES: Readonly<Record<string, keyof Paint>> = {
  completed: 'green',
  failed: 'red',
  cancelled: 'red',
  running: 'blue',
  waiting: 'yellow',
  pending: 'dim',
  skipped: 'dim',
};

/** The graph of a definition; of a run, the state of each step and what there is to tell of it too. */
export function graphText(
  graph: JsonObject | undefined,
  output: Pick<Output, 'paint' | 'isTerminal' | 'columns'>,
  steps?: WorkflowRunView['steps'],
): string {
  const nodes = objectsIn(graph?.nodes);
  const edges = objectsIn(graph?.edges);
  const depths = depthsOf(nodes);
  const rows = nodes.map(({ id, kind }) => {
    const name = String(id);
    const after = edges.filter(({ to }) => to === id).map(edgeText);
    const step = steps?.[name];
    const state = step?.state ?? 'pending';
    const told = steps === undefined ? [] : [styled(state, output.paint), detailText(step)];
    return [`${'  '.repeat(depths.get(name) ?? 0)}${name}`, String(kind), after.join(', '), ...told];
  });
  const heads = ['STEP', 'KIND', 'AFTER', ...(steps === undefined ? [] : ['STATE', 'DETAIL'])];
  return table(heads, rows, output);
}

/** A run: how it stands as a whole, and its graph. */
export function runText(
  run: WorkflowRunView,
  output: Pick<Output, 'paint' | 'isTerminal' | 'columns'>,
): string {
  const { task_id: id, state, outcome, workflow_id: workflow, version } = run;
  const of = workflow === undefined ? '' : `  ${workflow} version ${version}`;
  const head = `${output.paint.bold(id)}  ${styled(outcome ?? state, output.paint)}${of}`;
  const pipes = run.pipes === undefined ? '' : `\n\n${pipesText(run.pipes, output)}`;
  return `${head}\n${graphText(run.graph, output, run.steps)}${pipes}`;
}

/** What went through each pipe, a line a reader, with what still waits for it. */
function pipesText(
  pipes: readonly PipeView[],
  output: Pick<Output, 'paint' | 'isTerminal' | 'columns'>,
): string {
  const rows = pipes.flatMap(({ pipe, state, chunks, bytes, readers }) =>
    readers.map(({ input, behind_chunks: behind, behind_bytes: behindBytes, is_over: isOver }) => [
      ...[pipe, state === 'waiting_downstream' ? output.paint.yellow('full') : state, String(chunks)],
      ...[bytesText(bytes), input, isOver ? 'over' : `${behind} (${bytesText(behindBytes)})`],
    ]),
  );
  return table(['PIPE', 'STATE', 'CHUNKS', 'SIZE', 'READER', 'BEHIND'], rows, output);
}

/** What has changed of a run since it was looked at, a line a step. */
export function changesText(before: WorkflowRunView, now: WorkflowRunView, paint: Paint): string | null {
  const lines = Object.entries(now.steps).flatMap(([id, step]) => {
    const [was, is] = [before.steps[id], step].map(one => `${one?.state} ${detailText(one)}`);
    return was === is
      ? []
      : [`${paint.bold(id)}  ${styled(step.state, paint)}  ${detailText(step)}`.trimEnd()];
  });
  return lines.length === 0 ? null : lines.join('\n');
}

function detailText(step: JsonObject | undefined): string {
  if (step === undefined) return '';
  const { attempts, reason, result } = step;
  const [items, error] = [objectOf(step.items), objectOf(step.error)];
  const undone = objectOf(step.compensation_error);
  const told = [
    typeof result === 'boolean' ? `it is ${result}` : '',
    items === null ? '' : `${items.completed} of ${items.total} items${failedText(items)}`,
    typeof attempts === 'number' && attempts > 1 ? `${attempts} attempts` : '',
    typeof reason === 'string' ? reason : '',
    error === null ? '' : `${error.code}: ${error.message}`,
    typeof step.compensation === 'string' ? `compensation ${step.compensation}` : '',
    undone === null ? '' : String(undone.message),
  ];
  return told.filter(text => text !== '').join('; ');
}

function failedText({ failed }: JsonObject): string {
  return typeof failed === 'number' && failed > 0 ? `, ${failed} failed` : '';
}

function edgeText({ from, carries }: JsonObject): string {
  if (carries === 'after') return String(from);
  return carries === 'holds' ? `(holds ${from})` : `${from} is ${carries}`;
}

function styled(state: string, paint: Paint): string {
  const style = STYLES[state];
  return style === undefined ? state : paint[style](state);
}

/** How deep in `parallel` steps each stands. */
function depthsOf(nodes: readonly JsonObject[]): ReadonlyMap<string, number> {
  const around = new Map(nodes.map(({ id, inside }) => [String(id), inside]));
  const depthOf = (id: string): number => {
    const outer = around.get(id);
    return typeof outer === 'string' ? 1 + depthOf(outer) : 0;
  };
  return new Map(nodes.map(({ id }) => [String(id), depthOf(String(id))]));
}

function objectsIn(value: Json | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

function objectOf(value: Json | undefined): JsonObject | null {
  return value !== undefined && isJsonObject(value) ? value : null;
}
