// A tenant's secrets, which tasks name and only running attempts see: written, listed by name, deleted, never read (`SAM-34`).

import Type from 'typebox';
import type { AuditRecorder } from '../../../guards/audit.ts';
import type { Secrets } from '../../../guards/secrets.ts';
import type { Route } from '../../protocol.ts';
import { recordAction } from '../audited.ts';
import { json, PREFIX, route } from '../route.ts';
import { nothing, pageOf } from '../schema/answers.ts';
import { callerId, instant, paging } from '../vocabulary.ts';

/** What the secrets' routes need. */
export interface SecretDeps {
  readonly secrets: Pick<Secrets, 'set' | 'names' | 'remove'>;
  readonly audit: AuditRecorder;
}

const value = Type.String({ minLength: 1, maxLength: 65_536 });
const params = Type.Object({ name: callerId });
const kept = Type.Object(
  { name: Type.String() },
  { description: 'The secret is kept; its value is not shown again.' },
);
const common = { tag: 'secrets', access: 'admin', rate: 'standard' } as const;

/** The routes that keep secrets. */
export function secretRoutes({ secrets, audit }: SecretDeps): readonly Route[] {
  return [
    route({
      ...common,
      method: 'POST',
      path: `${PREFIX}/secrets`,
      summary: 'Keep a secret, in place of one of the same name',
      body: Type.Object({ name: callerId, value }),
      answers: { 200: kept },
      async handle(call) {
        const { name } = call.body;
        await secrets.set(call.principal.tenant, name, call.body.value);
        recordAction(audit, call, 'secret.written', name);
        return json(200, { name });
      },
    }),
    route({
      ...common,
      method: 'PUT',
      path: `${PREFIX}/secrets/:name`,
      summary: 'Keep a secret under this name',
      params,
      body: Type.Object({ value }),
      answers: { 200: kept },
      async handle(call) {
        const { name } = call.params;
        await secrets.set(call.principal.tenant, name, call.body.value);
        recordAction(audit, call, 'secret.written', name);
        return json(200, { name });
      },
    }),
    route({
      ...common,
      method: 'GET',
      path: `${PREFIX}/secrets`,
      summary: 'The names of the secrets',
      query: Type.Object(paging),
      answers: { 200: pageOf('secrets') },
      async handle({ principal, query: { limit, offset } }) {
        const all = await secrets.names(principal.tenant);
        const shown = all.slice(offset, offset + limit);
        const wire = shown.map(({ name, updatedAt }) => ({ name, updated_at: instant(updatedAt) }));
        return json(200, { secrets: wire, total: all.length, limit, offset });
      },
    }),
    route({
      ...common,
      method: 'DELETE',
      path: `${PREFIX}/secrets/:name`,
      summary: 'Forget a secret',
      params,
      answers: { 204: nothing },
      async handle(call) {
        await secrets.remove(call.principal.tenant, call.params.name);
        recordAction(audit, call, 'secret.deleted', call.params.name);
        return { kind: 'empty', status: 204 };
      },
    }),
  ];
}
