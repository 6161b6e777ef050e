// The results of all runs as a time series (`SAM-172`). The rows since the last file travel in the checkpoint, written short; when they are
// many they become a file, so that neither a checkpoint nor memory grows with the length of a task.

import type { JsonObject } from '../../domain/json.ts';
import type { NewArtifact } from '../../engine/ports/executor.ts';
import { type Judged, LEVELS } from './finding.ts';
import type { PlannedCheck } from './plan.ts';

/** A run: its instant, and a cell for each check. */
export type Row = readonly [at: number, ...cells: string[]];

/** A file of rows that was kept. */
export type HistoryFile = JsonObject & { readonly name: string };

const ROWS_LENGTH_MAX = 98_304;
const SEPARATOR = '|';
const FIELDS = ['at', 'check', 'type', 'level', 'value', 'unit', 'latency_ms', 'code'] as const;

/** The row of a run. */
export function rowOf(at: number, results: readonly Judged[]): Row {
  const cells = results.map(({ level, value, latencyMs, fault }) =>
    [LEVELS.indexOf(level), value ?? '', latencyMs ?? '', fault?.code ?? ''].join(SEPARATOR),
  );
  return [at, ...cells];
}

/** True when the rows should become a file. */
export function isFull(rows: readonly Row[]): boolean {
  return JSON.stringify(rows).length >= ROWS_LENGTH_MAX;
}

/** The file of these rows, the `number`th of the task. */
export function fileOf(
  rows: readonly Row[],
  checks: readonly PlannedCheck[],
  { format, number }: { readonly format: 'json' | 'csv'; readonly number: number },
): NewArtifact {
  const points = rows.flatMap(([at, ...cells]) =>
    cells.map((cell, index) => pointOf(at, cell, checks[index])),
  );
  const text = format === 'json' ? `${JSON.stringify({ points })}\n` : csvOf(points);
  return {
    name: `history-${number}.${format}`,
    type: 'monitoring_history',
    mediaType: format === 'json' ? 'application/json' : 'text/csv',
    source: Buffer.from(text),
  };
}

function pointOf(at: number, cell: string, check: PlannedCheck | undefined): JsonObject {
  const [level = '', value = '', latency = '', code = ''] = cell.split(SEPARATOR);
  return {
    at: new Date(at).toISOString(),
    check: check?.name ?? '',
    type: check?.spec.type ?? '',
    level: LEVELS[Number(level)] ?? '',
    value: value === '' ? null : Number(value),
    unit: check?.unit ?? '',
    latency_ms: latency === '' ? null : Number(latency),
    code: code === '' ? null : code,
  };
}

/** No field can hold a quote, a comma or a line's end, or begin a formula: names are held to letters and digits at both ends. */
function csvOf(points: readonly JsonObject[]): string {
  const lines = points.map(point => FIELDS.map(field => String(point[field] ?? '')).join(','));
  return `${[FIELDS.join(','), ...lines].join('\r\n')}\r\n`;
}
