// A dialect as a wire the http floor can mount: its own routes and those that all dialects have.

import type { Protocol } from '../protocol.ts';
import { type ClearTextParts, requireTls, underTls } from './clear-text.ts';
import { deadLetterRoutes } from './dead-letters.ts';
import type { Dialect } from './dialect.ts';
import { Door, type DoorParts } from './door.ts';
import { exchangeRoutes } from './exchanges.ts';
import { Figures } from './figures.ts';
import { doorMeasures } from './measures.ts';
import { pageRoutes, versionShown } from './pages.ts';
import { logRefusal, rendered } from './rendered.ts';
import { messageRoutes } from './routes.ts';
import { socketDoor } from './socket.ts';
import { streamRoutes } from './streams.ts';
import { type SubscriptionParts, subscriptionRoutes } from './subscriptions.ts';

/** What all dialects of a server share. */
export type SharedParts = Omit<DoorParts, 'figures'> &
  Pick<SubscriptionParts, 'checkTarget' | 'sealSecret'> &
  Pick<ClearTextParts, 'allowClearText'>;

/** The wire of a dialect, under `/protocols/<name>`. */
export function protocolOf(dialect: Dialect, shared: SharedParts): Protocol {
  const doorParts = { ...shared, figures: new Figures() };
  const parts = { ...doorParts, dialect, door: new Door(dialect, doorParts) };
  return {
    name: dialect.name,
    prefix: `/protocols/${dialect.name}`,
    errorSchema: dialect.errorSchema,
    errorPages: dialect.errorPages,
    routes: underTls(
      [
        ...messageRoutes(parts),
        ...pageRoutes(parts),
        ...deadLetterRoutes(parts),
        ...exchangeRoutes(parts),
        ...streamRoutes(parts),
        ...subscriptionRoutes(parts),
        ...(dialect.routes ?? []),
      ],
      parts,
    ),
    measures: tenant => doorMeasures(dialect.name, doorParts.figures, tenant),
    changelog: { title: dialect.title, versions: dialect.versions.map(versionShown) },
    sockets: [{ ...socketDoor(parts), admit: call => requireTls(call, parts) }],
    renderError(error, scene) {
      logRefusal(shared.log, dialect, error, { traceId: scene.traceId, requestId: scene.requestId });
      return rendered(dialect, error, scene);
    },
  };
}
