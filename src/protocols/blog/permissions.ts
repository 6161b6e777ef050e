// Who may say what to whom (`BLOG-97`): requests go along the pairs of the table, answers only back to who is answered, notifications
// anywhere.

import { allows } from '../../domain/principal.ts';
import type { Caller } from '../dialect/dialect.ts';
import { BUILT_IN, type BuiltIn, isBuiltIn, type MessageType } from './vocabulary.ts';

/** Whom each of the four may ask; anybody else asks the executor, operators all four. */
export const REQUESTS: Readonly<Record<BuiltIn, readonly BuiltIn[]>> = {
  executor: ['planner', 'coder', 'reviewer'],
  planner: ['reviewer'],
  coder: ['reviewer'],
  reviewer: ['coder'],
};

/** One message to one receiver, as the table sees it. */
export interface Said {
  readonly from: string;
  readonly type: MessageType;
  readonly to: string;
  /** Whether its sender has the operator's role. */
  readonly isOperator: boolean;
  /** Who sent the message it names; null where it names none. */
  readonly answered: string | null;
}

/** Whether the table has it. */
export function isPermitted({ from, type, to, isOperator, answered }: Said): boolean {
  switch (type) {
    case 'request':
      if (isBuiltIn(from)) return isBuiltIn(to) && REQUESTS[from].includes(to);
      return to === 'executor' || (isOperator && isBuiltIn(to));
    case 'response':
    case 'error':
    case 'ack':
      return to === answered;
    case 'notification':
      return true;
  }
}

/** Whether a caller has the operator's role: by what its credentials permit, or as `blog:operator`. */
export function isOperator({ principal, agent }: Pick<Caller, 'principal' | 'agent'>): boolean {
  return allows(principal, 'delivery:manage') || agent?.agent.roles?.includes('blog:operator') === true;
}

/** The table as the front page tells it. */
export const PAIRS = [
  ...BUILT_IN.map(from => ({ from, type: 'request', to: [...REQUESTS[from]] })),
  { from: 'other agents', type: 'request', to: ['executor'] },
  { from: 'other agents with the operator role', type: 'request', to: [...BUILT_IN] },
  { from: 'any', type: 'response, error, ack', to: ['the sender of the message named in correlationId'] },
  { from: 'any', type: 'notification', to: ['any'] },
] as const;
