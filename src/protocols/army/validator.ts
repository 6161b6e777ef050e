// The built-in validator: has content judged and answers the verdict (`ARMY-29`). How content is judged is its judge's.

import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { inboxOfDesk, inboxOfRole, type Message } from '../../domain/message.ts';
import type { Participant } from '../../engine/ports/participant.ts';
import type { Store } from '../../store/store.ts';
import { answer, ownAddress } from './drafts.ts';
import { idFrom } from './ids.ts';
import type { Judge, Judgeable } from './inner.ts';
import { requireAtWork, type Settings } from './settings.ts';
import { ARMY, RULES } from './words.ts';

/** The built-in `validator`. */
export function createValidator(judge: Judge, settings: Settings, store: Pick<Store, 'read'>): Participant {
  return {
    name: 'army validator',
    inboxes: [inboxOfRole(ARMY, 'validator'), inboxOfDesk(`${ARMY}:validator`)],
    async handle(message) {
      const { meaning } = message;
      if (meaning.act !== 'ask_validation') return [];
      await requireAtWork('validator', message.tenant, settings);
      const found = await judge.judge(await judgeable(message, meaning.request, store));
      const { valid, score, issues, recommendations } = found;
      return [
        answer(message, {
          id: idFrom('verdict', message.id),
          type: 'validation_response',
          from: ownAddress('validator'),
          meaning: { act: 'tell_validation', verdict: { valid, score, issues, recommendations } },
        }),
      ];
    },
  };
}

/** A judge for a server that has none better: it only sees whether there is anything at all. */
export const presence: Judge = {
  async judge({ content }) {
    if (!isEmpty(content)) return { valid: true, score: 1, issues: [], recommendations: [] };
    const issue = { rule: 'format_check', severity: 'error', code: 'EMPTY', message: 'there is no content' };
    return { valid: false, score: 0, issues: [issue], recommendations: ['Send content.'] };
  },
};

async function judgeable(
  message: Message,
  request: JsonObject,
  store: Pick<Store, 'read'>,
): Promise<Judgeable> {
  const { content = null, validation_rules: rules } = request;
  const context = isJsonObject(request.context) ? request.context : {};
  const id = context.task_id as Message['taskId'] & string;
  const [task] = typeof id === 'string' ? await store.read([{ tenant: message.tenant, id }]) : [];
  const expected = task?.spec.origin?.terms.expected_output;
  return {
    ...{ content, context, rules: Array.isArray(rules) ? rules.map(String) : [...RULES] },
    expectedOutput: isJsonObject(expected) ? expected : null,
  };
}

function isEmpty(content: Json): boolean {
  if (content === null) return true;
  if (typeof content === 'string') return content.trim() === '';
  return typeof content === 'object' && Object.keys(content).length === 0;
}
