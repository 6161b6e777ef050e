// What a tenant's quotas allow and what of them is used (`SAM-119`). They are set on the tenant.

import Type from 'typebox';
import type { QuotaStanding, TaskQuotas } from '../../../guards/quotas.ts';
import type { Route } from '../../protocol.ts';
import { json, PREFIX, route } from '../route.ts';
import { anyObject, instant } from '../vocabulary.ts';

/** What the quotas' routes need. */
export interface QuotaDeps {
  readonly quotas: Pick<TaskQuotas, 'standing' | 'resetsAt'>;
}

const query = Type.Object({
  user_id: Type.Optional(
    Type.String({ minLength: 1, maxLength: 200, description: 'Show this user in place of the caller.' }),
  ),
});

const standings = Type.Object(
  { resets_at: Type.String({ format: 'date-time' }), quotas: Type.Array(anyObject) },
  {
    description:
      'Limits and use of the tenant, the caller’s credential and the user; none where nothing is limited.',
  },
);

/** The route that shows quotas. */
export function quotaRoutes({ quotas }: QuotaDeps): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: `${PREFIX}/quotas`,
      summary: 'Quotas and what is used of them',
      tag: 'tenants',
      access: 'task:read',
      rate: 'status',
      query,
      answers: { 200: standings },
      async handle({ principal, query: { user_id: asked } }) {
        const userId = asked ?? principal.userId;
        const who = { credential: principal.id, ...(userId === undefined ? {} : { userId }) };
        return json(200, {
          resets_at: instant(quotas.resetsAt),
          quotas: quotas.standing(principal.tenant, who).map(wireStanding),
        });
      },
    }),
  ];
}

function wireStanding({ of, name, policy, limits, used }: QuotaStanding) {
  return { scope: of, name, policy, limits, used };
}
