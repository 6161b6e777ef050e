// The end of the tour in words and in numbers, each with where it comes from; and whether all went as it should.

import { styleText } from 'node:util';
import type { TourResult } from './tour.ts';

/** The numbers, for programs. */
export interface Summary {
  readonly ok: boolean;
  readonly tasks: number;
  readonly completed: number;
  readonly attempts: number;
  readonly attempts_repeated: number;
  readonly attempts_resumed: number;
  readonly webhooks: number;
  readonly webhook_repeats_dropped: number;
  readonly webhooks_missing: number;
  readonly forgeries_refused: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly failed: number;
  readonly done_at_kill: number;
  readonly held_at_kill: number;
  readonly restart_ms: number;
  readonly workflow_tasks: number;
  readonly workflow_agrees: boolean;
  readonly rows: number;
  readonly rows_rejected: number;
  readonly data_agrees: boolean;
  readonly python: boolean;
  readonly seconds: number;
}

/** Sums the tour up. It is well if nothing is lost, duplicated, failed or missing, and the data are what they have to be. */
export function summarise(result: TourResult, seconds: number): Summary {
  const { findings, dataset, kill, yearbook } = result;
  const workflowAgrees = yearbook.revenueCents === dataset.revenueCents;
  const { attempts, webhooks } = findings;
  const counts = {
    lost: findings.lost.length,
    duplicated: findings.endedTwice.length + findings.processedTwice.length,
    failed: findings.failed.length,
    webhooks_missing: findings.undelivered.length,
  };
  return {
    ok: Object.values(counts).every(count => count === 0) && result.dataAgrees && workflowAgrees,
    tasks: findings.acknowledged,
    completed: findings.completed,
    attempts: attempts.total,
    attempts_repeated: attempts.repeated,
    attempts_resumed: attempts.resumed,
    webhooks: webhooks.processed,
    webhook_repeats_dropped: webhooks.repeats,
    forgeries_refused: webhooks.refused,
    ...counts,
    done_at_kill: kill.done,
    held_at_kill: kill.held,
    restart_ms: Math.round(kill.downMs),
    workflow_tasks: yearbook.tasks.length,
    workflow_agrees: workflowAgrees,
    rows: dataset.rows,
    rows_rejected: dataset.spoilt,
    data_agrees: result.dataAgrees,
    python: result.pythonMissing === null,
    seconds: Math.round(seconds * 10) / 10,
  };
}

/** The same in words. */
export function summaryText(result: TourResult, summary: Summary): string {
  const { findings, dataset, kill, yearbook } = result;
  const { attempts, webhooks } = findings;
  const facts: readonly (readonly [string, string | number, string])[] = [
    [
      'tasks',
      findings.acknowledged,
      `acknowledged, ${kill.orderedMeanwhile} of them ordered as the server was killed`,
    ],
    ['completed', findings.completed, 'by task-status, after the restart'],
    [
      'attempts',
      attempts.total,
      `${attempts.repeated} repeated because of the kill; ${attempts.resumed} of these went on from a checkpoint, sparing ${attempts.stepsSpared} steps`,
    ],
    [
      'webhooks',
      webhooks.processed,
      `verified; acknowledgements withheld ${webhooks.withheld}, repeats dropped ${webhooks.repeats}, forgeries refused ${webhooks.refused}`,
    ],
    [
      'restart',
      `${(kill.downMs / 1_000).toFixed(1)} s`,
      `from SIGKILL to ready, with ${kill.held} tasks under way`,
    ],
    [
      'workflow',
      yearbook.tasks.length,
      `tasks of ${yearbook.types.length} types (${yearbook.types.join(', ')}) made one yearbook; its revenue ${summary.workflow_agrees ? 'is' : 'IS NOT'} the same sum`,
    ],
    [
      'data',
      dataset.rows,
      `rows, ${dataset.spoilt} put aside; revenue ${euros(dataset.revenueCents)} ${result.dataAgrees ? 'is' : 'IS NOT'} what a plain sum gives`,
    ],
    ['lost', summary.lost, 'acknowledged tasks without an end, by task-status'],
    ['duplicated', summary.duplicated, 'tasks with two ends, by task-events, or webhooks dealt with twice'],
  ];
  const lines = facts.map(
    ([name, value, meaning]) =>
      `  ${name.padEnd(11)} ${styleText('bold', String(value).padStart(7))}  ${meaning}`,
  );
  return ['', ...lines, '', ...problems(result), reportExcerpt(result), verdict(summary), ''].join('\n');
}

function problems({ findings, pythonMissing }: TourResult): readonly string[] {
  const named: readonly (readonly [string, readonly string[]])[] = [
    ['lost', findings.lost],
    ['failed', findings.failed],
    ['ended twice', findings.endedTwice],
    ['dealt with twice', findings.processedTwice],
    ['not delivered', findings.undelivered],
  ];
  const lines = named.flatMap(([what, ids]) => (ids.length === 0 ? [] : [`  ${what}: ${ids.join(', ')}`]));
  return pythonMissing === null ? lines : [...lines, `  Python was left out: ${pythonMissing}`];
}

/** What all this was for: one of the reports, a chapter a line. */
function reportExcerpt({ report, fastest, dataset }: TourResult): string {
  const meant = fastest === dataset.fastest ? ', as the data were made to show' : '';
  const chapters = [...report.matchAll(/^## (.*)\n\n(.*)$/gm)].map(
    ([, title, text]) => `    ${title}: ${text}`,
  );
  return [`  ${fastest} grows fastest${meant}. From its report:`, ...chapters, ''].join('\n');
}

function verdict({ ok, seconds }: Summary): string {
  const text = ok ? 'Nothing was lost and nothing was done twice' : 'Something went wrong';
  return styleText(ok ? 'green' : 'red', `  ${text}; ${seconds} s in all.`);
}

function euros(cents: number): string {
  return (cents / 100).toLocaleString('en', { style: 'currency', currency: 'EUR' });
}
