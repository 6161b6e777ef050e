// The words of the blog wire: who speaks, what kinds of messages and events there are, how urgent they may be; and the ids this server
// gives, which are made from what they answer, so that what is said twice is the same message.

import { hash } from 'node:crypto';
import type { MessageId } from '../../domain/message.ts';
import type { Priority } from '../../domain/priority.ts';

/** The version that is spoken. */
export const VERSION = '1.0.0';

/** The agents every tenant has (`BLOG-7`); where a remote one of that name is registered, it is that one. */
export const BUILT_IN = ['planner', 'coder', 'reviewer', 'executor'] as const;

/** One of them. */
export type BuiltIn = (typeof BUILT_IN)[number];

/** What a message may be (`BLOG-5`). */
export const MESSAGE_TYPES = ['request', 'response', 'notification', 'error', 'ack'] as const;

/** A message's type. */
export type MessageType = (typeof MESSAGE_TYPES)[number];

/** What events there are (`BLOG-61`). */
export const EVENT_TYPES = [
  'content.created',
  'content.updated',
  'content.deleted',
  'content.published',
  'content.moderated',
  'agent.started',
  'agent.completed',
  'agent.failed',
  'skill.executed',
  'skill.failed',
  'system.error',
  'system.warning',
] as const;

/** An event's type. */
export type EventType = (typeof EVENT_TYPES)[number];

/** Named priorities by their level, most urgent first (`BLOG-6`). */
export const PRIORITIES = { critical: 0, high: 2, medium: 5, low: 8 } as const satisfies Record<
  string,
  Priority
>;

/** A priority's name. */
export type PriorityName = keyof typeof PRIORITIES;

/** What a validator’s id follows in the type of work that agents register for to be that validator (`BLOG-49`). */
export const VALIDATOR_TYPE = 'validator.';

/** Where skills run that have side effects others should know of. */
export const ENVIRONMENTS = ['development', 'staging', 'production'] as const;

/** True for one of the four. */
export function isBuiltIn(name: string): name is BuiltIn {
  return (BUILT_IN as readonly string[]).includes(name);
}

/** True for a type of event. */
export function isEventType(type: string): type is EventType {
  return (EVENT_TYPES as readonly string[]).includes(type);
}

/** The nearest name that is not more urgent. */
export function priorityName(priority: Priority): PriorityName {
  if (priority <= 0) return 'critical';
  if (priority <= 2) return 'high';
  return priority <= 5 ? 'medium' : 'low';
}

/** A UUID that is the same for the same text (`BLOG-3`). */
export function uuidOf(text: string): MessageId {
  const hex = hash('sha256', text, 'hex');
  const variant = ((Number.parseInt(hex[16] ?? '0', 16) & 0x3) | 0x8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}` as MessageId;
}

/** An instant as it is emitted (`BLOG-4`). */
export function instant(at: number): string {
  return new Date(at).toISOString();
}
