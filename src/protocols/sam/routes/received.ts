// The route to which SAM agents that run this server's tasks send their webhooks (`SAM-95` to `SAM-97`). It proves nothing itself:
// whoever delegated knows the agents' secrets.

import Type from 'typebox';
import type { Route } from '../../protocol.ts';
import { json, PREFIX, route } from '../route.ts';

/** What receiving needs: one who believes, stores and acknowledges, or throws what the sender is answered. */
export interface ReceivedDeps {
  receive(webhook: {
    readonly headers: Readonly<Record<string, string | undefined>>;
    readonly body: Uint8Array;
    readonly payload: unknown;
  }): Promise<object>;
}

/** Everything but that it is an object is judged after the signature: who proves nothing learns nothing. */
const webhookBody = Type.Object(
  {},
  { description: 'A notification: event_type, task_id, sequence, timestamp, status, result …' },
);

const acknowledgement = Type.Object(
  {
    acknowledged: Type.Boolean(),
    duplicate: Type.Optional(Type.Boolean({ description: 'The delivery came before; nothing changed.' })),
    next_instructions: Type.Optional(Type.Object({ action: Type.Enum(['cancel', 'pause']) })),
  },
  { description: 'The notification is stored.' },
);

/** The one route of the receiver: public, for its requests are signed. */
export function receivedRoutes(deps: ReceivedDeps): readonly Route[] {
  return [
    route({
      method: 'POST',
      path: `${PREFIX}/webhooks/task-completed`,
      summary: 'Tell of a task that was delegated',
      tag: 'webhooks',
      access: 'public',
      rate: 'free',
      rawBody: true,
      bodyBytesMax: 4 * 1024 * 1024,
      body: webhookBody,
      answers: { 200: acknowledgement },
      async handle({ headers, rawBody, body }) {
        return json(200, await deps.receive({ headers, body: rawBody ?? new Uint8Array(), payload: body }));
      },
    }),
  ];
}
