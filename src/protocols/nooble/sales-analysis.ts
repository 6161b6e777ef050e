// The workflow that is shipped: an analysis of sales in the five steps of the source's example, each done by a tool that is built in, so that
// it runs to its end without a model (`NOOB-62`). It works on the `records` it is given; without any it says so.

import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Template } from './template.ts';

/** `sales-analysis-workflow` 2.1. */
export const SALES_ANALYSIS: Template = {
  template_id: 'sales-analysis-workflow',
  version: '2.1',
  steps: [
    {
      ...{
        step_id: 'step-001',
        name: 'data_collection',
        step_type: 'tool_task',
        tool_name: 'collect_records',
      },
      input_data: {
        records: { source: 'workflow_input', parameter: 'records', optional: true },
        date_range: { source: 'workflow_input', parameter: 'date_range', optional: true },
      },
      on_failure: 'retry_once_then_fail',
    },
    {
      ...{ step_id: 'step-002', name: 'generate_market_analysis' },
      ...{ step_type: 'tool_task', tool_name: 'data_analysis', depends_on: ['step-001'] },
      input_data: {
        records: { source: 'previous_step', step_id: 'step-001', path: 'records' },
        date_range: { source: 'previous_step', step_id: 'step-001', path: 'date_range' },
        metrics: { source: 'workflow_input', parameter: 'target_metrics', optional: true },
        market_segment: { source: 'workflow_input', parameter: 'market_segment', optional: true },
      },
    },
    {
      ...{ step_id: 'step-003', name: 'generate_recommendations' },
      ...{ step_type: 'tool_task', tool_name: 'recommend', depends_on: ['step-002'] },
      input_data: { analysis: { source: 'previous_step', step_id: 'step-002' } },
    },
    {
      ...{ step_id: 'step-004', name: 'create_report' },
      ...{ step_type: 'tool_task', tool_name: 'write_report', depends_on: ['step-003'] },
      input_data: {
        analysis: { source: 'previous_step', step_id: 'step-002' },
        recommendations: { source: 'previous_step', step_id: 'step-003', path: 'recommendations' },
      },
    },
    {
      ...{ step_id: 'step-005', name: 'deliver_results' },
      ...{ step_type: 'tool_task', tool_name: 'deliver', depends_on: ['step-004'] },
      input_data: { report: { source: 'previous_step', step_id: 'step-004', path: 'report' } },
    },
  ],
};

const CONVERSION_WEAK = 0.02;

/** The records within a range of dates `from,to`; a record without a date is within every range. */
export function collectRecords({ records, date_range: range }: JsonObject): JsonObject {
  const all = Array.isArray(records) ? records.filter(isJsonObject) : [];
  const [from = '', to = '~'] = typeof range === 'string' && range.includes(',') ? range.split(',') : [];
  const within = all.filter(
    ({ date }) => typeof date !== 'string' || (date >= from && date.slice(0, 10) <= to),
  );
  const period = typeof range === 'string' ? range : 'todo';
  return {
    date_range: period,
    records_processed: within.length,
    records_left_out: all.length - within.length,
    records: within,
  };
}

/** Count, sum, mean, least, most and trend (second half against first) of each metric. */
export function analyse(parameters: JsonObject): JsonObject {
  const { records = [], metrics, date_range: range = null, market_segment: segment = null } = parameters;
  const rows = Array.isArray(records) ? records.filter(isJsonObject) : [];
  const named = Array.isArray(metrics) ? metrics.map(String) : numericFields(rows);
  const figures = Object.fromEntries(named.map(metric => [metric, figuresOf(rows, metric)]));
  return { date_range: range, market_segment: segment, records_analysed: rows.length, metrics: figures };
}

/** What the figures suggest, by plain rules. */
export function recommend({ analysis }: JsonObject): JsonObject {
  const { metrics = {}, records_analysed: count = 0 } = isJsonObject(analysis) ? analysis : {};
  if (count === 0)
    return { recommendations: ['No hay registros: aportar datos de ventas antes de decidir.'] };
  const recommendations = Object.entries(metrics as JsonObject).flatMap(([metric, figures]) => {
    if (!isJsonObject(figures) || figures.count === 0) return [`${metric}: no hay datos; empezar a medirla.`];
    const { trend, mean } = figures;
    if (typeof trend === 'number' && trend < 0)
      return [`${metric}: cae un ${percent(-trend)}; revisar qué cambió en el periodo.`];
    if (/conversion/i.test(metric) && typeof mean === 'number' && mean < CONVERSION_WEAK)
      return [`${metric}: media de ${mean}; mejorar la calificación de clientes.`];
    return [`${metric}: estable o al alza; mantener la estrategia.`];
  });
  return { recommendations };
}

/** The report in Markdown. */
export function writeReport({ analysis, recommendations }: JsonObject): JsonObject {
  const { metrics = {}, ...about } = isJsonObject(analysis) ? analysis : {};
  const rows = Object.entries(metrics as JsonObject).map(([metric, figures]) => {
    const { count = 0, sum = 0, mean = null, trend = null } = isJsonObject(figures) ? figures : {};
    return `| ${metric} | ${count} | ${sum} | ${mean ?? '–'} | ${trend === null ? '–' : percent(Number(trend))} |`;
  });
  const report = [
    '# Análisis de ventas',
    '',
    `Periodo: ${about.date_range ?? 'todo'}. Segmento: ${about.market_segment ?? 'todos'}. Registros: ${about.records_analysed ?? 0}.`,
    '',
    '| métrica | registros | suma | media | tendencia |',
    '|---|---|---|---|---|',
    ...rows,
    '',
    '## Recomendaciones',
    '',
    ...(Array.isArray(recommendations) ? recommendations.map(one => `- ${String(one)}`) : []),
    '',
  ].join('\n');
  return { report, format: 'markdown' };
}

/** The report as it is handed to whoever asked. */
export function deliver({ report }: JsonObject): JsonObject {
  const text = typeof report === 'string' ? report : '';
  return { delivered: text !== '', bytes: Buffer.byteLength(text), report: text };
}

function figuresOf(rows: readonly JsonObject[], metric: string): JsonObject {
  const values = rows.flatMap(row => (typeof row[metric] === 'number' ? [row[metric]] : []));
  if (values.length === 0) return { count: 0 };
  const sum = total(values);
  const half = Math.floor(values.length / 2);
  const [first, second] = [values.slice(0, half), values.slice(values.length - half)];
  const before = half === 0 ? 0 : total(first) / half;
  return {
    count: values.length,
    sum: rounded(sum),
    mean: rounded(sum / values.length),
    least: Math.min(...values),
    most: Math.max(...values),
    trend: half === 0 || before === 0 ? null : rounded((total(second) / half - before) / Math.abs(before)),
  };
}

function numericFields(rows: readonly JsonObject[]): readonly string[] {
  const fields = rows.flatMap(row => Object.keys(row).filter(field => typeof row[field] === 'number'));
  return [...new Set(fields)];
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

function rounded(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}

function percent(share: number): Json & string {
  return `${Math.round(share * 1_000) / 10} %`;
}
