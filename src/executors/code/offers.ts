// What this host offers for each language, and which of it a task gets (SAM-121, SAM-139): decided from what the probes found.

import { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { ISOLATION_LEVELS, type IsolationLevel, type LimitModes } from '../../domain/task.ts';
import type { ExecutorStatus } from '../../engine/ports/executor.ts';
import { canHoldProcessors } from '../../runtime/processors.ts';
import type { CodeLimits } from './limits.ts';
import { LANGUAGES, type Language } from './payload.ts';
import type { Probed } from './probe.ts';
import type { Interpreters, Tier } from './sandbox/confinement.ts';

/** What was found out at the start. */
export interface Findings {
  readonly bubblewrap: Probed;
  readonly rlimits: Probed;
  /** Why there is no QuickJS, and why there is none under bubblewrap; null where there is. */
  readonly wasmMissing: string | null;
  readonly wrappedMissing: string | null;
}

/** Where programs of a confined level run. */
export interface Place {
  readonly tier: Tier;
  readonly interpreters: Interpreters;
}

/** A refusal for what this host lacks. */
export function refusal(message: string, details: JsonObject): DomainError {
  return new DomainError('unprocessable', message, { details });
}

/** The levels a language can be run at here, weakest first. */
export function offered(findings: Findings, language: Language): IsolationLevel[] {
  if (language === 'javascript') {
    const { wasmMissing, wrappedMissing } = findings;
    return ISOLATION_LEVELS.filter(
      level =>
        (level === 'wasm' && wasmMissing === null) || (level === 'bubblewrap' && wrappedMissing === null),
    );
  }
  return [findings.rlimits, findings.bubblewrap].flatMap(probed => {
    if (probed.tier === null) return [];
    const isThere = language === 'native' || probed.interpreters[language] !== undefined;
    return isThere ? [probed.tier.level] : [];
  });
}

/** Why a language, or a level of it, is not offered. */
export function missing(findings: Findings, language: Language): string {
  const { bubblewrap, rlimits, wasmMissing, wrappedMissing } = findings;
  if (language === 'javascript') return wasmMissing ?? wrappedMissing ?? '';
  const reasons = [bubblewrap, rlimits].map(probed =>
    probed.tier === null ? probed.missing : `there is no ${language} in the sandbox`,
  );
  return reasons.join('; ');
}

/**
 * The level a program runs at: for JavaScript the least that will do, since WebAssembly is the fastest; for all others the strongest
 * there is. Throws `unprocessable` naming what is missing.
 */
export function levelFor(
  findings: Findings,
  language: Language,
  least: IsolationLevel | undefined,
): IsolationLevel {
  const chosen = chosenLevel(findings, language, least);
  if (chosen !== undefined) return chosen;
  const levels = offered(findings, language);
  const lacking = missing(findings, language);
  if (levels.length === 0)
    throw refusal(`${language} cannot be run here: ${lacking}`, {
      reason: 'language_unavailable',
      missing: lacking,
    });
  throw refusal(`${language} cannot be run here at isolation level ${least}: ${lacking}`, {
    reason: 'isolation_unattainable',
    missing: lacking,
    min_isolation: least,
    offered: levels,
  });
}

function chosenLevel(
  findings: Findings,
  language: Language,
  least: IsolationLevel | undefined,
): IsolationLevel | undefined {
  const rank = (level: IsolationLevel): number => ISOLATION_LEVELS.indexOf(level);
  const enough = offered(findings, language).filter(
    level => least === undefined || rank(level) >= rank(least),
  );
  return language === 'javascript' ? enough[0] : enough.at(-1);
}

/** Where programs of a level run; null for those in the pool of QuickJS processes. */
export function placeOf(findings: Findings, level: IsolationLevel): Place | null {
  for (const probed of [findings.bubblewrap, findings.rlimits])
    if (probed.tier !== null && probed.tier.level === level) return probed;
  return null;
}

/** How the limits of a program are held at the level it gets; a program that gets none is held to nothing (`SAM-117`). */
export function modesOf(
  findings: Findings,
  language: Language,
  wanted: { readonly least: IsolationLevel | undefined; readonly limits: CodeLimits },
): LimitModes {
  const { least, limits } = wanted;
  const level = chosenLevel(findings, language, least);
  if (level === undefined) return NOT_HELD;
  if (level === 'wasm') {
    const isHeld = !limits.cpuBurst && (wasmHoldsCpu(limits) || canHoldProcessors());
    return { ...HELD, cpu: isHeld ? 'enforced' : 'advisory' };
  }
  return placeOf(findings, level)?.tier.modes(limits) ?? NOT_HELD;
}

/** One thread uses no more than one processor. */
export function wasmHoldsCpu({ cpuCores }: Pick<CodeLimits, 'cpuCores'>): boolean {
  return cpuCores >= 1;
}

const HELD: LimitModes = { memory: 'enforced', cpu: 'enforced', disk: 'enforced', network: 'enforced' };
const NOT_HELD: LimitModes = { memory: 'advisory', cpu: 'advisory', disk: 'advisory', network: 'advisory' };

/** The findings as the port reports them. */
export function statusOf(findings: Findings, pool: JsonObject): ExecutorStatus {
  const levels = new Map(LANGUAGES.map(language => [language, offered(findings, language)]));
  const unavailable = LANGUAGES.filter(language => levels.get(language)?.length === 0);
  const told = unavailable.map(language => `${language}: ${missing(findings, language)}`).join('; ');
  const languages = LANGUAGES.map(language => {
    const isolation = levels.get(language) ?? [];
    return [language, { isolation, ...(isolation.length === 0 && { missing: missing(findings, language) }) }];
  });
  return {
    available: unavailable.length < LANGUAGES.length,
    ...(unavailable.length > 0 && { missing: told }),
    isolation: ISOLATION_LEVELS.filter(level => [...levels.values()].flat().includes(level)),
    detail: {
      languages: Object.fromEntries(languages),
      bubblewrap: detailOf(findings.bubblewrap),
      rlimits: detailOf(findings.rlimits),
      pool: findings.wasmMissing === null ? pool : { missing: findings.wasmMissing },
    },
  };
}

function detailOf(probed: Probed): JsonObject {
  if (probed.tier === null) return { missing: probed.missing };
  return { ...probed.detail, interpreters: { ...probed.interpreters } };
}
