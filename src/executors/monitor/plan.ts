// From a payload to a plan: every pattern, timetable and default known, and what contradicts itself said field by field (`SAM-173`).
// The engine has checked the payload against its schema before.

import { RE2JS } from 're2js';
import { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Level, Thresholds, Unit } from './finding.ts';
import { type Check, type CheckType, HOST_CHECKS, type MonitorPayload, type Schedule } from './payload.ts';
import type { Patience } from './standing.ts';
import { type Timetable, timetableOf } from './timetable.ts';

/** A check, with everything that was left out of it. */
export interface PlannedCheck {
  readonly index: number;
  readonly name: string;
  readonly field: string;
  readonly spec: Check;
  readonly timeoutMs: number;
  readonly unit: Unit;
  readonly thresholds: Thresholds;
  readonly patience: Patience;
  readonly pattern: RE2JS | null;
}

/** When to run, how often, and what becomes of runs that cannot be when they are due. */
export interface PlannedSchedule {
  readonly timetable: Timetable;
  readonly durationMs: number | null;
  readonly count: number | null;
  readonly jitterMs: number;
  readonly overlap: 'skip' | 'wait' | 'restart';
  readonly catchUp: 'once' | 'skip';
}

/** A task of checks. */
export interface Plan {
  readonly checks: readonly PlannedCheck[];
  /** Null for one run now. */
  readonly schedule: PlannedSchedule | null;
  readonly failOn: Level | null;
  readonly history: 'json' | 'csv' | 'none';
}

/** What a task is allowed beside its payload. */
export interface Known {
  readonly secretNames: readonly string[];
  readonly timeoutMs: number;
}

interface Fault {
  readonly field: string;
  readonly message: string;
}

type Say = (field: string, message: string) => void;

const TIMEOUT_S = 10;
const PATTERNS_MAX = 10;
/** A larger program takes too long over 64 KiB of text. */
const PATTERN_SIZE_MAX = 200;
const CRON_JITTER_MAX_S = 60;
const SECRET = /\{\{\s*secrets\.([A-Za-z0-9._-]{1,200})\s*\}\}/g;

const UNITS: Readonly<Record<CheckType, Unit>> = {
  http: 'ms',
  tcp: 'ms',
  reachable: 'ms',
  dns: 'ms',
  tls_expiry: 'days',
  process: 'processes',
  disk: 'percent',
  memory: 'percent',
  cpu: 'percent',
};

/** Bounds of those that name none. */
const THRESHOLDS: Readonly<
  Partial<Record<CheckType, { readonly warning: number; readonly critical: number }>>
> = {
  tls_expiry: { warning: 30, critical: 7 },
  disk: { warning: 80, critical: 90 },
  memory: { warning: 85, critical: 95 },
  cpu: { warning: 80, critical: 95 },
};

/** The plan; throws `invalid_request` with every fault as `{field, message}` in `details.errors`. */
export function planOf(payload: JsonObject, known: Known): Plan {
  const typed = payload as unknown as MonitorPayload;
  const faults: Fault[] = [];
  const say: Say = (field, message) => faults.push({ field, message });
  const schedule = typed.schedule === undefined ? null : scheduleOf(typed.schedule, known, say);
  const once = typed.schedule === undefined || typed.schedule.count === 1;
  const checks = typed.checks.map((spec, index) =>
    checkOf(spec, { index, payload: typed, once }, known, say),
  );
  sayTwins(checks, say);
  const [first] = faults;
  if (first !== undefined) {
    const errors = faults.slice(0, 100).map(({ field, message }) => ({ field, message }));
    throw new DomainError('invalid_request', `${first.field} ${first.message}`, { details: { errors } });
  }
  const { fail_on: failOn = null, history } = typed;
  return { checks, schedule, failOn, history: history?.format ?? 'json' };
}

/** True for what is looked at on this node, which is not everybody's business (`SAM-173`). */
export function isOfHost({ type }: Pick<Check, 'type'>): boolean {
  return (HOST_CHECKS as readonly string[]).includes(type);
}

/** A header's value with the secrets it names. */
export function withSecrets(template: string, secrets: Readonly<Record<string, string>>): string {
  return template.replaceAll(SECRET, (_, name: string) => secrets[name] ?? '');
}

/** A host as a URL spells it; null for a text that is none. */
export function hostIn(text: string): string | null {
  if (!/^[^\s/\\?#@[\]]+$/.test(text)) return null;
  const url = URL.parse(`https://${text.includes(':') ? `[${text}]` : text}/`);
  return url === null || url.hostname === '' ? null : url.hostname.replace(/^\[(.*)\]$/, '$1');
}

function checkOf(
  spec: Check,
  {
    index,
    payload,
    once,
  }: { readonly index: number; readonly payload: MonitorPayload; readonly once: boolean },
  known: Known,
  say: Say,
): PlannedCheck {
  const field = `task_data.checks.${index}`;
  const unit = UNITS[spec.type];
  const timeoutMs = (spec.timeout ?? TIMEOUT_S) * 1_000;
  sayThresholds(spec, unit, timeoutMs, (name, message) => say(`${field}.${name}`, message));
  sayTarget(spec, known, (name, message) => say(`${field}.${name}`, message));
  const given = spec.thresholds ?? THRESHOLDS[spec.type];
  const matches = spec.type === 'http' ? spec.expect?.matches : undefined;
  return {
    index,
    field,
    spec,
    unit,
    timeoutMs,
    name: spec.name ?? `${spec.type}_${index + 1}`,
    thresholds: {
      warning: given?.warning ?? null,
      critical: given?.critical ?? null,
      falling: spec.type === 'tls_expiry',
    },
    patience: {
      failuresBeforeAlert: spec.failures_before_alert ?? payload.failures_before_alert ?? (once ? 1 : 2),
      recoveriesBeforeResolve: spec.recoveries_before_resolve ?? payload.recoveries_before_resolve ?? 2,
      flappingChanges: payload.flapping?.changes ?? 4,
      flappingWindowMs: (payload.flapping?.window ?? 600) * 1_000,
    },
    pattern: matches === undefined ? null : patternOf(matches, `${field}.expect.matches`, say),
  };
}

function sayThresholds({ type, thresholds }: Check, unit: Unit, timeoutMs: number, say: Say): void {
  if (thresholds === undefined) return;
  if (type === 'process') say('thresholds', 'does not go with process: it has minimum and maximum');
  const { warning, critical } = thresholds;
  if (warning !== undefined && critical !== undefined) {
    const falling = type === 'tls_expiry';
    if (falling ? warning <= critical : warning >= critical)
      say('thresholds', `must have its warning ${falling ? 'above' : 'below'} its critical`);
  }
  for (const [name, value] of Object.entries({ warning, critical })) {
    if (value === undefined) continue;
    if (unit === 'percent' && type !== 'cpu' && value > 100) say(`thresholds.${name}`, 'is over 100 %');
    if (unit === 'ms' && value >= timeoutMs)
      say(`thresholds.${name}`, `is never reached within the timeout of ${timeoutMs} ms`);
  }
}

function sayTarget(spec: Check, known: Known, say: Say): void {
  if (spec.type === 'http') sayHttp(spec, known, say);
  if (spec.type === 'process' && spec.maximum !== undefined && spec.maximum < (spec.minimum ?? 1))
    say('maximum', 'is below the minimum');
  if ('host' in spec && hostIn(spec.host) === null) say('host', 'is not a name or an address');
}

function sayHttp(spec: Extract<Check, { type: 'http' }>, known: Known, say: Say): void {
  const url = /\s/.test(spec.url) ? null : URL.parse(spec.url);
  if (url === null || url.hostname === '') say('url', 'is not an absolute URL');
  const { contains, excludes, matches, json } = spec.expect ?? {};
  const needsBody = [contains, excludes, matches, json].some(one => one !== undefined);
  if (spec.method === 'HEAD' && needsBody) say('expect', 'needs a body, which HEAD does not bring');
  if (spec.body !== undefined && spec.method !== 'POST') say('body', 'goes with POST only');
  for (const [name, value] of Object.entries(spec.headers ?? {})) {
    for (const [, secret = ''] of value.matchAll(SECRET)) {
      if (!known.secretNames.includes(secret))
        say(
          `headers.${name}`,
          `names the secret ${secret}, which execution_config.environment.secrets does not list`,
        );
    }
    if (value.replaceAll(SECRET, '').includes('{{'))
      say(`headers.${name}`, 'has a template that is no secret');
  }
  json?.forEach(({ minimum, maximum }, at) => {
    if (minimum !== undefined && maximum !== undefined && minimum > maximum)
      say(`expect.json.${at}`, 'has its minimum above its maximum');
  });
}

function patternOf(text: string, field: string, say: Say): RE2JS | null {
  try {
    const pattern = RE2JS.compile(text);
    if (pattern.programSize() <= PATTERN_SIZE_MAX) return pattern;
    say(field, 'repeats too much');
  } catch (error) {
    say(field, `is not a regular expression: ${(error as Error).message}`);
  }
  return null;
}

function sayTwins(checks: readonly PlannedCheck[], say: Say): void {
  const seen = new Set<string>();
  for (const { name, field } of checks) {
    if (seen.has(name)) say(`${field}.name`, 'is the name of an earlier check');
    seen.add(name);
  }
  if (checks.filter(({ pattern }) => pattern !== null).length > PATTERNS_MAX)
    say('task_data.checks', `have more than ${PATTERNS_MAX} regular expressions`);
}

function scheduleOf(schedule: Schedule, { timeoutMs }: Known, sayAt: Say): PlannedSchedule | null {
  const say: Say = (name, message) => sayAt(`task_data.schedule${name}`, message);
  const { interval, cron, timezone, duration, count, jitter = 0 } = schedule;
  if ((interval === undefined) === (cron === undefined)) {
    say('', 'must have exactly one of interval and cron');
    return null;
  }
  if (timezone !== undefined && cron === undefined) say('.timezone', 'goes with cron only');
  if (jitter >= (interval ?? CRON_JITTER_MAX_S)) say('.jitter', 'is as long as the time between two runs');
  const timeoutS = Math.floor(timeoutMs / 1_000);
  const tooLong = `takes longer than the task's timeout of ${timeoutS} s allows`;
  if (duration !== undefined && duration > timeoutS) say('.duration', tooLong);
  else if (duration === undefined && interval !== undefined && (count ?? 0) * interval > timeoutS + interval)
    say('.count', tooLong);
  else if (duration === undefined && count === undefined && (interval ?? 0) >= timeoutS)
    say('.interval', `${tooLong}: there would be one run`);
  const timetable = timetableIn(schedule, say);
  if (timetable === null) return null;
  return {
    timetable,
    durationMs: duration === undefined ? null : duration * 1_000,
    count: count ?? null,
    jitterMs: jitter * 1_000,
    overlap: schedule.overlap ?? 'skip',
    catchUp: schedule.catch_up ?? 'once',
  };
}

function timetableIn(schedule: Schedule, say: Say): Timetable | null {
  try {
    const timetable = timetableOf(schedule);
    if (timetable.dueFrom(0, 0) !== null) return timetable;
    say('.cron', 'is never due');
  } catch (error) {
    const { message } = error as Error;
    if (/time ?zone/i.test(message)) say('.timezone', 'is not the name of a time zone');
    else say('.cron', `is not five fields of a cron schedule: ${message}`);
  }
  return null;
}
