// The built-in validator: has content judged and answers the verdict (`ARMY-29`). How content is judged is the server's own validator's.

import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import { inboxOfDesk, inboxOfRole, type Message } from '../../domain/message.ts';
import type { Participant } from '../../engine/ports/participant.ts';
import type { DialectHands } from '../dialect/hands.ts';
import { answer, ownAddress } from './drafts.ts';
import { idFrom } from './ids.ts';
import { requireAtWork, type Settings } from './settings.ts';
import { ARMY } from './words.ts';

/** So long a model may look at content; the rules need none. */
const JUDGE_MS_MAX = 8_000;

/** The built-in `validator`. */
export function createValidator(
  hands: Pick<DialectHands, 'clock' | 'store' | 'validator'>,
  settings: Settings,
): Participant {
  return {
    name: 'army validator',
    inboxes: [inboxOfRole(ARMY, 'validator'), inboxOfDesk(`${ARMY}:validator`)],
    async handle(message) {
      const { meaning, tenant } = message;
      if (meaning.act !== 'ask_validation') return [];
      await requireAtWork('validator', tenant, settings);
      const { minQualityScore: scoreMin } = await settings.of(tenant);
      const expected = await expectedOf(message, meaning.request, hands);
      const order = hands.validator.orderOf(meaning.request, { scoreMin, ...expected });
      const found = await withinTime(hands, signal => hands.validator.validate(order, signal));
      const { valid, score, issues, recommendations } = found;
      const verdict = { valid, score, issues: issues as unknown as readonly JsonObject[], recommendations };
      return [
        answer(message, {
          id: idFrom('verdict', message.id),
          type: 'validation_response',
          from: ownAddress('validator'),
          meaning: { act: 'tell_validation', verdict },
        }),
      ];
    },
  };
}

async function withinTime<Answer>(
  { clock }: Pick<DialectHands, 'clock'>,
  work: (signal: AbortSignal) => Promise<Answer>,
): Promise<Answer> {
  const over = new AbortController();
  const cancel = clock.after(JUDGE_MS_MAX, () => over.abort());
  try {
    return await work(over.signal);
  } finally {
    cancel();
  }
}

/** What the task whose result it is was to bring forth. */
async function expectedOf(
  { tenant }: Message,
  { context }: JsonObject,
  { store }: Pick<DialectHands, 'store'>,
): Promise<{ readonly expected?: JsonObject }> {
  const id = isJsonObject(context) ? context.task_id : undefined;
  if (typeof id !== 'string') return {};
  const [task] = await store.read([{ tenant, id: id as Message['taskId'] & string }]);
  const expected = task?.spec.origin?.terms.expected_output;
  return isJsonObject(expected) ? { expected } : {};
}
