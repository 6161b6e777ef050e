// A run as people look at it: its graph with every step's state, as JSON and as a Mermaid flowchart.

import type { JsonObject } from './json.ts';
import { type Step, stateOf, type WorkflowPlan, type WorkflowRun } from './workflow.ts';
import { streamsInto } from './workflow-graph.ts';

/** Nodes and edges; an edge says what it carries: `after`, `true`, `false`, `failure`, or `holds` for what is inside, `stream` for records that go along. */
export function graphView(plan: WorkflowPlan, run: WorkflowRun | null): JsonObject {
  const nodes = plan.order.map(({ id, kind, inside }) => ({
    id,
    kind,
    ...(inside.length === 0 ? {} : { inside: inside.at(-1) ?? '' }),
    ...(run === null ? {} : { state: stateOf(run, id) }),
  }));
  const edges = plan.order.flatMap(step =>
    edgesInto(plan, step).map(({ from, carries }) => ({ from, to: step.id, carries })),
  );
  return { nodes, edges };
}

/** The graph as a Mermaid flowchart, coloured by state where there is a run; ids of steps are the only text in it. */
export function mermaidView(plan: WorkflowPlan, run: WorkflowRun | null): string {
  const names = new Map(plan.order.map(({ id }, at) => [id, `s${at}`]));
  const lines = plan.order.map(({ id, kind }) => {
    const [open, close] = SHAPES[kind] ?? ['["', '"]'];
    return `  ${names.get(id)}${open}${id}${close}`;
  });
  for (const step of plan.order)
    for (const { from, carries } of edgesInto(plan, step))
      lines.push(
        `  ${names.get(from)} ${carries === 'after' ? '-->' : `-->|${carries}|`} ${names.get(step.id)}`,
      );
  if (run !== null) {
    for (const { id } of plan.order) lines.push(`  class ${names.get(id)} ${stateOf(run, id)}`);
    for (const [state, style] of Object.entries(STYLES)) lines.push(`  classDef ${state} ${style}`);
  }
  return ['flowchart TD', ...lines].join('\n');
}

const SHAPES: Partial<Readonly<Record<Step['kind'], readonly [string, string]>>> = {
  condition: ['{"', '"}'],
  join: ['(("', '"))'],
  parallel: ['[["', '"]]'],
  wait: ['(["', '"])'],
  approval: ['[/"', '"/]'],
};

const STYLES = {
  pending: 'stroke-dasharray:3',
  running: 'fill:#cfe2ff',
  waiting: 'fill:#fff3cd',
  completed: 'fill:#d1e7dd',
  failed: 'fill:#f8d7da',
  skipped: 'fill:#e9ecef',
  cancelled: 'fill:#e2d9f3',
} as const;

function edgesInto(plan: WorkflowPlan, step: Step) {
  const after = step.dependsOn.map(from => {
    const isHeld = step.kind === 'parallel' && plan.steps.get(from)?.inside.includes(step.id) === true;
    return { from, carries: isHeld ? 'holds' : 'after' };
  });
  const branches = step.branchOf.map(({ step: from, when }) => ({ from, carries: String(when) }));
  const streams = streamsInto(step).map(from => ({ from, carries: 'stream' }));
  return [...after, ...streams, ...branches, ...step.handles.map(from => ({ from, carries: 'failure' }))];
}
