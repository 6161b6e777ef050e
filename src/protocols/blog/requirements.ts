// Which requirement a field of a blog message answers to.

import type { FieldRequirements } from '../dialect/requirements.ts';

/** By path, those of one type after it. */
export const FIELD_REQUIREMENTS: FieldRequirements = {
  '': 'BLOG-1',
  id: 'BLOG-3',
  from: 'BLOG-7',
  to: 'BLOG-8',
  type: 'BLOG-5',
  payload: 'BLOG-9',
  metadata: 'BLOG-2',
  'metadata.timestamp': 'BLOG-4',
  'metadata.priority': 'BLOG-6',
  'metadata.signature': 'BLOG-99',
  'payload.skillId': 'BLOG-33',
  'payload.input': 'BLOG-31',
  'payload.context': 'BLOG-34',
  'payload.preconditions': 'BLOG-37',
  'payload.postconditions': 'BLOG-37',
  'payload.config': 'BLOG-42',
  'payload.intent': 'BLOG-17',
  'payload.skill': 'BLOG-18',
  'payload.params': 'BLOG-18',
  'payload.action': 'BLOG-21',
  'payload.contentId': 'BLOG-21',
  'payload.content': 'BLOG-50',
  'payload.steps': 'BLOG-46',
  'payload.result': 'BLOG-45',
};
