// Whether a site lets robots read a page: its robots.txt, asked for once in a while and read as RFC 9309 says.

import robotsParser from 'robots-parser';
import { DomainError } from '../../domain/errors.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { Clock } from '../../runtime/clock.ts';

/** The name rules for this program are written under. */
export const ROBOT_NAME = 'batuta';
const KEPT_MS = 600_000;
const SITES_MAX = 1_000;
const TIMEOUT_MS = 10_000;
const BYTES_MAX = 500 * 1_024;

interface SiteRules {
  isAllowed(url: string, userAgent: string): boolean | undefined;
}
type Rules = SiteRules | 'everything' | 'nothing';
/** Its types speak of a module with a default export; what is imported is the function itself. */
const parseRobots = robotsParser as unknown as (url: string, text: string) => SiteRules;

interface Known {
  readonly until: number;
  readonly rules: Promise<Rules>;
}

/** What sites allow, remembered for ten minutes. */
export class Robots {
  readonly #clock: Clock;
  readonly #outbound: Outbound;
  readonly #known = new Map<string, Known>();

  constructor(clock: Clock, outbound: Outbound) {
    this.#clock = clock;
    this.#outbound = outbound;
  }

  /** Throws `policy_violation` where the site forbids the page; a site that cannot be asked (5xx, no answer) forbids all. */
  async assertAllowed(url: string, userAgent: string, signal: AbortSignal): Promise<void> {
    const { origin } = new URL(url);
    const rules = await this.#rulesOf(origin, signal);
    if (rules === 'nothing')
      throw new DomainError('dependency_failed', `robots.txt of ${origin} cannot be read now`, {
        details: { url },
      });
    if (rules === 'everything' || rules.isAllowed(url, userAgent) !== false) return;
    throw new DomainError('policy_violation', `robots.txt of ${origin} forbids ${url}`, {
      details: { url, rule: 'robots' },
    });
  }

  #rulesOf(origin: string, signal: AbortSignal): Promise<Rules> {
    const now = this.#clock.monotonic();
    const known = this.#known.get(origin);
    if (known !== undefined && known.until > now) return known.rules;
    const rules = this.#fetch(origin, signal).catch(error => {
      this.#known.delete(origin);
      throw error;
    });
    if (this.#known.size >= SITES_MAX) this.#known.clear();
    this.#known.set(origin, { until: now + KEPT_MS, rules });
    return rules.then(found => {
      if (found === 'nothing') this.#known.delete(origin);
      return found;
    });
  }

  async #fetch(origin: string, signal: AbortSignal, hops = 0, at = `${origin}/robots.txt`): Promise<Rules> {
    const { status, headers, body } = await this.#outbound.send({
      url: at,
      method: 'GET',
      headers: { 'user-agent': ROBOT_NAME, accept: 'text/plain,*/*' },
      timeoutMs: TIMEOUT_MS,
      answerBytesMax: BYTES_MAX,
      truncate: true,
      signal,
    });
    const { location } = headers;
    if (status >= 300 && status < 400 && location !== undefined && hops < 5 && URL.canParse(location, at))
      return await this.#fetch(origin, signal, hops + 1, new URL(location, at).href);
    if (status >= 500) return 'nothing';
    if (status !== 200) return 'everything';
    return parseRobots(`${origin}/robots.txt`, Buffer.from(body).toString('utf8'));
  }
}
