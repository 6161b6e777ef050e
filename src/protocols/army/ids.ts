// Ids of what this server says: UUIDs made of what is said, so that saying it again is the same message.

import { hash } from 'node:crypto';
import type { MessageId } from '../../domain/message.ts';

/** The same parts give the same UUID (version 8), on every node and after a restart. */
export function idFrom(...parts: readonly (string | number)[]): MessageId {
  const hex = hash('sha256', `army\n${parts.join('\n')}`, 'hex');
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 3) | 8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-') as MessageId;
}
