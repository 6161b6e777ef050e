// The words of Nooble messages: services, pairs of domain and action, and who may say which pair to whom (`NOOB-133`). Everything else
// that decides by pair reads this one table.

/** The services built into every server (`NOOB-136`). */
export const SERVICES = [
  'agent_orchestrator',
  'agent_execution',
  'workflow_engine',
  'conversation',
  'knowledge_base',
  'authentication',
  'tool_registry',
] as const;

/** A service built in. */
export type BuiltIn = (typeof SERVICES)[number];

/** Domains, those of the source's schema first (`NOOB-7`, `NOOB-8`). */
export const DOMAINS = ['agent', 'workflow', 'conversation', 'tool', 'system', 'knowledge', 'auth'] as const;

/** What a message is about. */
export type Domain = (typeof DOMAINS)[number];

/** Actions, those of the source's schema first (`NOOB-7`, `NOOB-8`). */
export const ACTIONS = [
  'execute',
  'update',
  'query',
  'notify',
  'status',
  'response',
  'start',
  'step',
  'search',
  'results',
  'validate',
  'result',
  'error',
] as const;

/** What a message does. */
export type Action = (typeof ACTIONS)[number];

/** A domain and an action, as `agent.execute`. */
export type Pair = `${Domain}.${Action}`;

/** Who may say a pair, to whom, and which permission it takes beside `message:send`. */
export interface PairRule {
  /** Services, or anybody. */
  readonly from: readonly BuiltIn[] | 'any';
  /** A service, anybody, or whoever asked. */
  readonly to: BuiltIn | 'any' | 'requester';
  readonly needs?: 'admin' | 'memory:write';
  /** `ask` makes a task and is answered; `control` speaks of one that exists; `tell` answers or reports; `notify` is answered by nobody. */
  readonly kind: 'ask' | 'control' | 'tell' | 'notify' | 'beat';
  /** The action that answers it. */
  readonly answer?: Action;
}

const ORCHESTRATOR = ['agent_orchestrator'] as const;
const CALLERS = ['agent_orchestrator', 'agent_execution', 'workflow_engine'] as const;
const AGENT_CALLERS = ['agent_orchestrator', 'workflow_engine'] as const;
const TALKERS = ['agent_orchestrator', 'agent_execution'] as const;

const ANYWHERE = Object.fromEntries(
  DOMAINS.flatMap(domain => [
    [`${domain}.notify`, { from: 'any', to: 'any', kind: 'notify' }],
    [`${domain}.error`, { from: 'any', to: 'requester', kind: 'tell' }],
  ]),
) as Readonly<Partial<Record<Pair, PairRule>>>;

/** The table of `NOOB-133`; a pair that is not in it is no pair. */
export const PAIRS: Readonly<Partial<Record<Pair, PairRule>>> = {
  'agent.execute': { from: AGENT_CALLERS, to: 'agent_execution', kind: 'ask', answer: 'response' },
  'agent.update': { from: AGENT_CALLERS, to: 'agent_execution', kind: 'control', answer: 'status' },
  'agent.query': { from: AGENT_CALLERS, to: 'agent_execution', kind: 'control', answer: 'status' },
  'agent.status': { from: ['agent_execution'], to: 'requester', kind: 'tell' },
  'agent.response': { from: ['agent_execution'], to: 'requester', kind: 'tell' },
  'workflow.start': { from: ORCHESTRATOR, to: 'workflow_engine', kind: 'ask', answer: 'status' },
  'workflow.update': { from: ORCHESTRATOR, to: 'workflow_engine', kind: 'control', answer: 'status' },
  'workflow.query': { from: ORCHESTRATOR, to: 'workflow_engine', kind: 'control', answer: 'status' },
  'workflow.step': { from: ['workflow_engine'], to: 'agent_orchestrator', kind: 'ask', answer: 'status' },
  'workflow.status': { from: ['workflow_engine', 'agent_orchestrator'], to: 'requester', kind: 'tell' },
  'conversation.update': { from: TALKERS, to: 'conversation', kind: 'ask', answer: 'status' },
  'conversation.query': { from: TALKERS, to: 'conversation', kind: 'ask', answer: 'response' },
  'conversation.status': { from: ['conversation'], to: 'requester', kind: 'tell' },
  'conversation.response': { from: ['conversation'], to: 'requester', kind: 'tell' },
  'knowledge.search': { from: CALLERS, to: 'knowledge_base', kind: 'ask', answer: 'results' },
  'knowledge.update': {
    from: ORCHESTRATOR,
    to: 'knowledge_base',
    needs: 'memory:write',
    kind: 'ask',
    answer: 'status',
  },
  'knowledge.results': { from: ['knowledge_base'], to: 'requester', kind: 'tell' },
  'knowledge.status': { from: ['knowledge_base'], to: 'requester', kind: 'tell' },
  'auth.validate': { from: 'any', to: 'authentication', kind: 'ask', answer: 'result' },
  'auth.result': { from: ['authentication'], to: 'requester', kind: 'tell' },
  'tool.execute': { from: CALLERS, to: 'tool_registry', kind: 'ask', answer: 'result' },
  'tool.update': { from: ORCHESTRATOR, to: 'tool_registry', needs: 'admin', kind: 'ask', answer: 'status' },
  'tool.query': { from: 'any', to: 'tool_registry', kind: 'ask', answer: 'response' },
  'tool.result': { from: ['tool_registry'], to: 'requester', kind: 'tell' },
  'tool.status': { from: ['tool_registry'], to: 'requester', kind: 'tell' },
  'tool.response': { from: ['tool_registry'], to: 'requester', kind: 'tell' },
  'system.query': { from: 'any', to: 'agent_orchestrator', kind: 'ask', answer: 'response' },
  'system.status': { from: 'any', to: 'agent_orchestrator', kind: 'beat' },
  'system.update': { from: 'any', to: 'agent_orchestrator', needs: 'admin', kind: 'ask', answer: 'response' },
  'system.execute': {
    from: 'any',
    to: 'agent_orchestrator',
    needs: 'admin',
    kind: 'ask',
    answer: 'response',
  },
  'system.response': { from: ORCHESTRATOR, to: 'requester', kind: 'tell' },
  ...ANYWHERE,
};

/** Every pair there is. */
export const ALL_PAIRS = Object.keys(PAIRS) as readonly Pair[];

/** What ends a task well; `status` ends it by what its `status` says (`NOOB-134`). */
export const ENDINGS: readonly string[] = ['response', 'results', 'result'];

/** The rule of a pair, or null where it is none. */
export function ruleOf(domain: string, action: string): PairRule | null {
  const pair = `${domain}.${action}`;
  return Object.hasOwn(PAIRS, pair) ? (PAIRS[pair as Pair] ?? null) : null;
}

/** The two halves of a pair. */
export function halvesOf(pair: string): { readonly domain: Domain; readonly action: Action } {
  const [domain, action] = pair.split('.');
  return { domain: domain as Domain, action: action as Action };
}

/** A service's name as it is emitted: underscores, and `orchestrator` by its full name (`NOOB-11`). */
export function serviceOf(name: string): string {
  const plain = name.replaceAll('-', '_');
  return plain === 'orchestrator' ? 'agent_orchestrator' : plain;
}

/** True for the name of a service that is built in. */
export function isBuiltIn(service: string): service is BuiltIn {
  return (SERVICES as readonly string[]).includes(service);
}

/** True for what may be a service's name. */
export function isServiceName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/.test(name);
}

/** The role of agents that are a service. */
export function roleOf(service: string): string {
  return `nooble:${service}`;
}
