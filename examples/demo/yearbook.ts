// The yearbook of the chain, as one workflow of three task types: DuckDB adds up quarters, JavaScript finds the strongest, our workers write a
// chapter on each region, all at once, and DuckDB adds up what the chapters say. Long enough for the kill to come in between.
//
//   quarters (data_processing) ─ strongest (code_execution) ─ chapters × regions (custom) ─ all (join) ─ total (data_processing)

import { readFileSync } from 'node:fs';
import type { TaskOutput } from '../../src/sdk/index.ts';
import { CHAPTER_PAUSE_MS, MONTHLY, type Order } from './orders.ts';

/** What is known of the workflow at the end. */
export interface YearbookFacts {
  /** Tasks that its steps ran as. */
  readonly tasks: readonly string[];
  /** Their types, each once. */
  readonly types: readonly string[];
  readonly revenueCents: number;
}

/** The workflow; its id is that of the task. */
export const YEARBOOK = 'yearbook';

const STEPS = {
  quarters: 'data_processing',
  strongest: 'code_execution',
  chapters: 'custom',
  total: 'data_processing',
} as const;

/** The order for the workflow, which reads what the months and the trend found. */
export function yearbookOrder(): Order {
  const months = { task_id: MONTHLY };
  return {
    stage: 'workflow',
    id: YEARBOOK,
    type: 'workflow_orchestration',
    description: 'The yearbook: quarters, and a chapter on each region',
    dependsOn: [MONTHLY, 'trend'],
    data: {
      steps: [
        {
          id: 'quarters',
          task_type: STEPS.quarters,
          task_data: {
            sources: { months },
            sql: "SELECT region, 'Q' || quarter((month || '-01')::DATE) AS quarter, sum(revenue) AS revenue FROM months GROUP BY ALL ORDER BY ALL",
          },
        },
        {
          id: 'strongest',
          depends_on: ['quarters'],
          task_type: STEPS.strongest,
          task_data: {
            language: 'javascript',
            code: readFileSync(new URL('programs/strongest.js', import.meta.url), 'utf8'),
            inputs: { quarters: of('steps.quarters.output.rows') },
          },
        },
        {
          id: 'chapters',
          kind: 'map',
          depends_on: ['strongest'],
          items: of('steps.strongest.output.result.strongest'),
          task_type: STEPS.chapters,
          task_data: {
            ...{ type_name: 'report', column: 'region', name: of('item.region') },
            pause_ms: CHAPTER_PAUSE_MS,
          },
          // A worker that is killed loses its chapter to another, which goes on from its checkpoint.
          retry: { max_attempts: 3 },
        },
        { id: 'all', kind: 'join', depends_on: ['chapters'] },
        {
          id: 'total',
          depends_on: ['all'],
          task_type: STEPS.total,
          task_data: {
            sources: { chapters: { inline: of('steps.chapters.output') } },
            sql: 'SELECT count(*)::INTEGER AS chapters, round(sum(revenue) * 100)::BIGINT AS cents FROM chapters',
          },
        },
      ],
      output: { cents: of('steps.total.output.rows[0].cents') },
    },
  };
}

/** What the workflow's output says of it; nothing of one that has none. */
export function yearbookFacts(outcome: TaskOutput | undefined): YearbookFacts {
  const { steps = {}, result } = (outcome?.output ?? {}) as {
    steps?: Readonly<Record<string, { task_id?: string; items?: { total: number } }>>;
    result?: { cents: number };
  };
  const tasks = Object.values(steps).flatMap(({ task_id: id, items }) => {
    if (id === undefined) return [];
    return items === undefined ? [id] : Array.from({ length: items.total }, (_, item) => `${id}.${item}`);
  });
  return { tasks, types: [...new Set(Object.values(STEPS))], revenueCents: Number(result?.cents ?? 0) };
}

/** A template of one expression. */
function of(expression: string): string {
  return `\${{ ${expression} }}`;
}
