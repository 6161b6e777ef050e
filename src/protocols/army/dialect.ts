// The army wire as the mailroom and the routes see it.

import type { Agent } from '../../domain/agent.ts';
import { DomainError, ERROR_CODES } from '../../domain/errors.ts';
import type { AgentId } from '../../domain/ids.ts';
import { isJsonObject } from '../../domain/json.ts';
import { type Draft, inboxOfAgent, type Message } from '../../domain/message.ts';
import { allows } from '../../domain/principal.ts';
import type { Caller, Dialect, NamedInbox } from '../dialect/dialect.ts';
import { checkFilter, isWanted, matchesType } from '../dialect/matching.ts';
import { addressOf, inboxOf, rolesOf } from './address.ts';
import { decode, type ReadingParts } from './decode.ts';
import { ownAddress, say } from './drafts.ts';
import { encode } from './encode.ts';
import { ERROR_PAGES, errorBody, invalid, WORDINGS } from './errors.ts';
import { idFrom } from './ids.ts';
import { contentOf, releaseTerms, reviewAsked } from './releases.ts';
import { FIELD_REQUIREMENTS } from './requirements.ts';
import { route } from './routing.ts';
import { errorPayload, MESSAGES } from './schemas.ts';
import { DEFAULTS, settingsText } from './settings.ts';
import { taskNews, taskRequest, taskStop } from './task-news.ts';
import { isToldByTask } from './tasks.ts';
import {
  ARMY,
  BUILT_IN,
  OVERWEIGHT,
  PRIORITIES,
  ROLES,
  type Role,
  SPECIALISTS,
  TYPES,
  VERSION,
} from './words.ts';

/** Makes the wire. */
export function armyDialect(parts: ReadingParts): Dialect {
  return {
    name: ARMY,
    title: 'Agents army',
    versions: [{ version: VERSION }],
    tlsBetweenMachines: true,
    types: MESSAGES,
    about: () => ({
      roles: [...ROLES],
      built_in_roles: [...BUILT_IN],
      priorities: Object.keys(PRIORITIES),
      default_settings: settingsText(DEFAULTS),
    }),
    idOf: envelope => (isJsonObject(envelope) && typeof envelope.id === 'string' ? envelope.id : null),
    versionOf: envelope =>
      isJsonObject(envelope) && typeof envelope.protocol_version === 'string'
        ? envelope.protocol_version
        : null,
    decode: (envelope, scene) => decode(envelope, scene, parts),
    encode,
    inbox: (name, caller) => inboxNamed(name, caller, parts),
    checkSubscription(types, filter) {
      for (const [at, type] of types.entries())
        if (!TYPES.some(one => matchesType(one, [type])))
          throw invalid([{ field: `types.${at}`, message: `is no type: ${TYPES.join(', ')}` }]);
      checkFilter(filter);
    },
    mayWatch: caller => isPlayedBy('validator', caller) || isPlayedBy('supervisor', caller),
    wants: (message, subscription) => isWanted(message, subscription, encode),
    requirements: FIELD_REQUIREMENTS,
    signatureAt: ['signature'],
    codes: WORDINGS,
    errorBody,
    errorSchema: errorPayload,
    errorPages: ERROR_PAGES,
    refusesOffence: true,
    releaseTerms: task => releaseTerms(task, parts.settings.lastOf(task.tenant)),
    contentOf,
    reviewAsked,
    pacePerMinute: tenant => parts.settings.lastOf(tenant).rateLimit,
    route: draft => route(draft, parts.mailroom().directory),
    abilitiesOf,
    refusal,
    taskRequest,
    taskStop,
    taskNews(task, event) {
      parts.tools.hear(task, event);
      return taskNews(task, event);
    },
  };
}

/** What an agent can take: what is for any of its roles, for any specialist where it is one, and for it alone (`ARMY-14`). */
function abilitiesOf({ id, roles }: Pick<Agent, 'id' | 'roles'>): readonly string[] {
  const own = rolesOf(roles);
  if (own.length === 0 || roles?.includes(OVERWEIGHT) === true) return [];
  const isSpecialist = own.some(role => (SPECIALISTS as readonly Role[]).includes(role));
  const played = new Set<Role>(isSpecialist ? [...own, 'specialist'] : own);
  return [...[...played].map(role => `${ARMY}:${role}`), `${ARMY}@${id}`];
}

/** That a message was refused or died: told to its sender, this server's own coordinator included, but never about an error (`ARMY-126`). */
function refusal(message: Message, error: DomainError): Draft | null {
  const coordinator = ownAddress('coordinator');
  const isOurs = message.actor === 'system' && message.from !== coordinator;
  if (message.type === 'error' || isOurs || isToldByTask(error)) return null;
  const { id, taskId, from } = message;
  const fault = {
    ...{ code: codeFor(taskId === null, error), message: error.message },
    recoverable: ERROR_CODES[error.code].retry === 'yes' && error.details.reason !== 'expired',
    details: { ...error.details, message_id: id },
  };
  return say(message, {
    ...{
      id: idFrom('refusal', id, error.code),
      type: 'error',
      from: coordinator,
      to: [from],
      replyTo: id,
      taskId,
    },
    priority: PRIORITIES.high,
    meaning: { act: 'refuse', taskId, fault },
  });
}

/** A message without a task that expired is nobody's task that timed out (`ARMY-95`). */
function codeFor(isNoTask: boolean, { code }: DomainError): DomainError['code'] {
  return isNoTask && code === 'task_timeout' ? 'upstream_timeout' : code;
}

/** `ann` reads what is for it and for its roles, `writer` what is for that role, `writer:ann` both; each with its work. */
async function inboxNamed(name: string, caller: Caller, { mailroom }: ReadingParts): Promise<NamedInbox> {
  const { agentId, isOperator } = caller;
  const address = addressOf(name);
  if (address !== null && address.agent === null) {
    const isOwn = isPlayedBy(address.role, caller);
    const own = isOwn && agentId !== null ? [inboxOfAgent(agentId)] : [];
    return { inboxes: [inboxOf(address), ...own], isOwn, worker: isOwn ? agentId : null };
  }
  const agent = address?.agent ?? name;
  const known = await mailroom().directory.agent(caller.tenant, agent);
  const isOwn = agent === agentId;
  if (known === null && !isOwn)
    throw new DomainError('not_found', `there is no inbox ${name}`, { details: { inbox: name } });
  const roles = rolesOf(known?.agent.roles);
  const read = address === null ? roles : roles.filter(role => role === address.role);
  return {
    inboxes: [inboxOfAgent(agent), ...read.map(role => inboxOf({ role, agent: null }))],
    isOwn,
    worker: isOwn || isOperator ? (agent as AgentId) : null,
  };
}

/** Whether the caller speaks and reads as the role: an agent that has it, or a person who decides, as supervisor (`ARMY-79`). */
function isPlayedBy(role: Role, { agentId, agent, principal }: Caller): boolean {
  if (agentId !== null) return rolesOf(agent?.agent.roles).includes(role);
  return role === 'supervisor' && allows(principal, 'approval:decide');
}
