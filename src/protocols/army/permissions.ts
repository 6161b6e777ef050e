// Who may say what to whom (`ARMY-107`). What answers something goes to whoever asked; the asker's role is then an argument.

import { type Role, SPECIALISTS, type Type } from './words.ts';

/** What is to be said by whom to whom; `asker`: the role that sent what is answered, null where nothing is. */
export interface Speech {
  readonly from: Role;
  readonly type: Type;
  readonly to: Role;
  readonly asker: Role | null;
}

const KEEPERS: readonly Role[] = ['coordinator', ...SPECIALISTS, 'validator', 'supervisor'];
const DOERS: readonly Role[] = ['coordinator', ...SPECIALISTS, 'tool'];
const LEADERS: readonly Role[] = ['coordinator', 'supervisor'];

/** Whether it may be said. */
export function permits({ from, type, to, asker }: Speech): boolean {
  switch (type) {
    case 'task_request':
      return taskMakers(from).includes(to);
    case 'validation_request':
      if (from === 'coordinator') return to === 'validator' || to === 'supervisor';
      return isSpecialist(from) && to === 'validator';
    case 'memory_store':
    case 'memory_query':
      return to === 'memory' && KEEPERS.includes(from);
    case 'validation_response':
      return (from === 'validator' || from === 'supervisor') && to === asker;
    case 'memory_response':
      return from === 'memory' && to === asker;
    case 'task_response':
    case 'task_update':
      return DOERS.includes(from) && to === asker;
    case 'coordination':
    case 'status_query':
      return to === 'coordinator' || LEADERS.includes(from);
    case 'shutdown':
    case 'config_update':
      return LEADERS.includes(from);
    case 'error':
    case 'status_response':
      return to === (asker ?? 'coordinator');
    case 'heartbeat':
      return LEADERS.includes(to);
  }
}

/** Whether the type answers something: it may then only be said to whoever asked. */
export function isAnswer(type: Type): boolean {
  return (
    type === 'validation_response' ||
    type === 'memory_response' ||
    type === 'task_response' ||
    type === 'task_update' ||
    type === 'error' ||
    type === 'status_response'
  );
}

function taskMakers(from: Role): readonly Role[] {
  if (from === 'coordinator') return [...SPECIALISTS, 'tool'];
  if (isSpecialist(from)) return ['tool', 'coordinator'];
  return from === 'supervisor' ? ['coordinator'] : [];
}

function isSpecialist(role: Role): boolean {
  return (SPECIALISTS as readonly Role[]).includes(role);
}
