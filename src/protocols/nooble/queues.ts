// Queues: where a message waits, and which of those places each form of a queue's name means (`NOOB-104` to `NOOB-108`). A service has one
// place for each pair and band of priority, so that every name means whole places and a message taken by one name is gone from all.

import { DomainError } from '../../domain/errors.ts';
import { type InboxName, inboxOfRole } from '../../domain/message.ts';
import { ACTIONS, ALL_PAIRS, DOMAINS, halvesOf, type Pair, SERVICES, serviceOf } from './vocabulary.ts';

/** The bands of priority: 0–2, 3–6, 7–10 (`NOOB-106`). */
export const BANDS = ['high', 'normal', 'low'] as const;

/** A band of priority. */
export type Band = (typeof BANDS)[number];

/** Queues of the source's table, by service, with `{tenant_id}` and `{session_id}` to be filled in. */
export const QUEUES: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(
    SERVICES.filter(service => service !== 'agent_orchestrator').map(service => [
      service,
      [`${service}:tasks:{tenant_id}`, `${service}:results:{tenant_id}`],
    ]),
  ),
  tool_registry: [
    'tool_registry:tasks:{tenant_id}',
    'tool_registry:results:{tenant_id}:{session_id}',
    'tool_registry:results:{tenant_id}',
  ],
  agent_orchestrator: [
    'orchestrator:tasks:{tenant_id}',
    'orchestrator:results:{tenant_id}',
    'orchestrator:dlq:{tenant_id}',
  ],
};

/** What a queue's name means. */
export interface Queue {
  /** Whose queue it is. */
  readonly service: string;
  /** Null for the dead letters. */
  readonly part: 'all' | 'tasks' | 'results' | 'dead' | 'some';
  readonly band: Band | null;
  readonly domain: string | null;
  readonly action: string | null;
  readonly session: string | null;
}

/** The band a priority is in. */
export function bandOf(priority: number): Band {
  if (priority <= 2) return 'high';
  return priority <= 6 ? 'normal' : 'low';
}

/** Where a message of a pair waits for a service; results of tools wait by session. */
export function placeOf(
  service: string,
  message: { readonly pair: string; readonly priority: number; readonly session: string | null },
): InboxName {
  const session = message.pair === 'tool.result' && message.session !== null ? `/${message.session}` : '';
  return place(service, bandOf(message.priority), `${message.pair}${session}`);
}

/** What a name means; throws `not_found` where it is no queue of this tenant. */
export function queueOf(name: string, tenant: string): Queue {
  const nothing = { band: null, domain: null, action: null, session: null };
  if (name.includes(':')) {
    const [service = '', part = '', owner = '', session, ...more] = name.split(':');
    const isPart = part === 'tasks' || part === 'results' || (part === 'dlq' && service === 'orchestrator');
    if (!isPart || owner !== tenant || more.length > 0 || (session !== undefined && part !== 'results'))
      throw noQueue(name);
    return {
      ...nothing,
      service: serviceOf(service),
      part: part === 'dlq' ? 'dead' : part,
      session: session ?? null,
    };
  }
  const [service = '', ...rest] = name.split('.');
  if (rest.length === 0) return { ...nothing, service: serviceOf(service), part: 'all' };
  const band = (BANDS as readonly string[]).includes(rest[0] ?? '') ? (rest.shift() as Band) : null;
  const [domain = '', action = null, ...more] = rest;
  const isPair =
    (DOMAINS as readonly string[]).includes(domain) &&
    (action === null || (ACTIONS as readonly string[]).includes(action));
  if (!isPair || more.length > 0) throw noQueue(name);
  return { service: serviceOf(service), part: 'some', band, domain, action, session: null };
}

/**
 * The places a queue means: of `results`, what the service said to any of `services`, the tenant's; what waits by session is found under
 * the `sessions` given.
 */
export function placesOf(
  { service, part, band, domain, action, session }: Queue,
  known: { readonly services: readonly string[]; readonly sessions: readonly string[] },
): readonly InboxName[] {
  if (part === 'dead') return [];
  const bands = band === null ? BANDS : [band];
  const isAnswer = (pair: Pair): boolean => answersOf(service).includes(pair);
  const pairs = ALL_PAIRS.filter(pair => {
    const halves = halvesOf(pair);
    if (domain !== null && halves.domain !== domain) return false;
    if (action !== null && halves.action !== action) return false;
    return part !== 'results' || isAnswer(pair);
  });
  const targets =
    part === 'results'
      ? [...new Set<string>([...SERVICES, ...known.services])].filter(target => target !== service)
      : [service];
  const sessions = session === null ? known.sessions : [session];
  const kinds = pairs.flatMap(pair => {
    const bySession = pair === 'tool.result' ? sessions.map(one => `${pair}/${one}`) : [];
    return session === null ? [pair, ...bySession] : bySession;
  });
  return targets.flatMap(target => bands.flatMap(one => kinds.map(kind => place(target, one, kind))));
}

/** The pairs a service answers with. */
function answersOf(service: string): readonly Pair[] {
  const domains: Readonly<Record<string, readonly string[]>> = {
    agent_execution: ['agent'],
    workflow_engine: ['workflow'],
    conversation: ['conversation'],
    knowledge_base: ['knowledge'],
    authentication: ['auth'],
    tool_registry: ['tool'],
    agent_orchestrator: ['system', 'workflow'],
  };
  const answers = ['status', 'response', 'results', 'result', 'error'];
  return ALL_PAIRS.filter(pair => {
    const halves = halvesOf(pair);
    return domains[service]?.includes(halves.domain) === true && answers.includes(halves.action);
  });
}

function place(service: string, band: Band, kind: string): InboxName {
  return inboxOfRole('nooble', `${service}/${band}/${kind}`);
}

function noQueue(name: string): DomainError {
  return new DomainError('not_found', `there is no queue ${name}`, {
    details: {
      queue: name,
      hint: 'service, service:tasks:<tenant>, or service.<priority>.<domain>.<action>',
    },
  });
}
