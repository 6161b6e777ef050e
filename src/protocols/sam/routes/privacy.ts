// What people may ask of whoever holds their data (GDPR, CCPA): all of it, or that it be gone (`ARMY-76`). The audit keeps that it
// happened and how much there was, not of whom.

import Type from 'typebox';
import type { PersonalHoldings, Privacy } from '../../../engine/privacy.ts';
import type { AuditRecorder } from '../../../guards/audit.ts';
import type { Route } from '../../protocol.ts';
import { recordAction } from '../audited.ts';
import { json, PREFIX, route } from '../route.ts';
import { anyObject } from '../vocabulary.ts';

/** What the privacy routes need. */
export interface PrivacyDeps {
  readonly privacy: Pick<Privacy, 'holdings' | 'erase'>;
  readonly audit: AuditRecorder;
}

const body = Type.Object({ user_id: Type.String({ minLength: 1, maxLength: 200 }) });
const lists = Type.Array(anyObject);
const exportAnswer = Type.Object(
  {
    user_id: Type.String(),
    ...{
      tasks: lists,
      artifacts: lists,
      messages: lists,
      dead_letters: lists,
      reviews: lists,
      records: lists,
    },
  },
  { description: 'Everything held.' },
);
const count = Type.Integer({ minimum: 0 });
const eraseAnswer = Type.Object(
  {
    erased: Type.Object({
      ...{
        tasks: count,
        artifacts: count,
        messages: count,
        dead_letters: count,
        reviews: count,
        records: count,
      },
    }),
    pending: Type.Array(Type.String(), { description: 'Tasks that are being cancelled: erase again.' }),
  },
  { description: 'What was taken away.' },
);
const common = { method: 'POST', tag: 'privacy', access: 'admin', rate: 'standard', body } as const;

/** The routes that give out and take away what is held about a person. */
export function privacyRoutes({ privacy, audit }: PrivacyDeps): readonly Route[] {
  return [
    route({
      ...common,
      path: `${PREFIX}/privacy/export`,
      summary: 'Everything held about a user',
      idempotency: 'confidential',
      answers: { 200: exportAnswer },
      async handle(call) {
        const { user_id: userId } = call.body;
        const { deadLetters, ...held } = await privacy.holdings({ tenant: call.principal.tenant, userId });
        recordAction(audit, call, 'privacy.exported', 'user', counted({ deadLetters, ...held }));
        return json(200, { user_id: userId, ...held, dead_letters: deadLetters });
      },
    }),
    route({
      ...common,
      path: `${PREFIX}/privacy/erase`,
      summary: 'Remove or blank everything held about a user; cancels tasks that have not ended',
      answers: { 200: eraseAnswer, 202: eraseAnswer },
      async handle(call) {
        const { tenant, id } = call.principal;
        const { erased, pending } = await privacy.erase({ tenant, userId: call.body.user_id }, id);
        const { deadLetters, ...numbers } = erased;
        const told = { ...numbers, dead_letters: deadLetters };
        recordAction(audit, call, 'privacy.erased', 'user', { ...told, pending: pending.length });
        return json(pending.length === 0 ? 200 : 202, { erased: told, pending });
      },
    }),
  ];
}

function counted(held: PersonalHoldings) {
  const { deadLetters, tasks, artifacts, messages, reviews, records } = held;
  return {
    ...{ tasks: tasks.length, artifacts: artifacts.length, messages: messages.length },
    ...{ dead_letters: deadLetters.length, reviews: reviews.length, records: records.length },
  };
}
