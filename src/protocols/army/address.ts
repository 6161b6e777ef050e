// Addresses: a role, or one agent in it (`writer:ann`), and the inboxes they stand for. This server's own players are the agent
// `batuta` of their role.

import type { AgentId } from '../../domain/ids.ts';
import { type InboxName, inboxOfAgent, inboxOfDesk, inboxOfRole } from '../../domain/message.ts';
import { ARMY, isRole, type Role } from './words.ts';

/** Under which name this server plays a role. */
export const SELF = 'batuta';

/** A role, and which of its agents where that was said. */
export interface Address {
  readonly role: Role;
  readonly agent: string | null;
}

/** What a text addresses, or null where it is no address. */
export function addressOf(text: string): Address | null {
  const at = text.indexOf(':');
  const role = at < 0 ? text : text.slice(0, at);
  if (!isRole(role)) return null;
  return { role, agent: at < 0 ? null : text.slice(at + 1) };
}

/** The address as one text. */
export function textOf({ role, agent }: Address): string {
  return agent === null ? role : `${role}:${agent}`;
}

/** Where messages for the address wait. */
export function inboxOf({ role, agent }: Address): InboxName {
  if (agent === null) return inboxOfRole(ARMY, role);
  return agent === SELF ? inboxOfDesk(`${ARMY}:${role}`) : inboxOfAgent(agent);
}

/** The roles of this wire among those an agent has. */
export function rolesOf(roles: readonly string[] | undefined): readonly Role[] {
  return (roles ?? [])
    .filter(role => role.startsWith(`${ARMY}:`))
    .map(role => role.slice(ARMY.length + 1))
    .filter(isRole);
}

/** The agent of an actor (`agent:<id>`), or null. */
export function agentOfActor(actor: string): AgentId | null {
  return actor.startsWith('agent:') ? (actor.slice('agent:'.length) as AgentId) : null;
}
