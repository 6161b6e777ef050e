// The nodes: the processes that serve from one store, for whoever runs them (`SAM-224`).

import Type from 'typebox';
import type { EngineApi, NodeView } from '../../../engine/api.ts';
import type { Route } from '../../protocol.ts';
import { requireLandlord } from '../landlord.ts';
import { json, PREFIX, route } from '../route.ts';
import { instant } from '../vocabulary.ts';

const nodesAnswer = Type.Object(
  {
    nodes: Type.Array(
      Type.Object({
        node_id: Type.String(),
        version: Type.String(),
        url: Type.Union([Type.String(), Type.Null()]),
        region: Type.Optional(Type.String()),
        labels: Type.Optional(Type.Array(Type.String())),
        state: Type.Enum(['active', 'draining']),
        leads: Type.Boolean({ description: 'Whether it does the chores that one node suffices for.' }),
        running_tasks: Type.Integer({ description: 'Tasks it runs itself.' }),
        started_at: Type.String({ format: 'date-time' }),
        seen_at: Type.String({ format: 'date-time' }),
      }),
    ),
  },
  { description: 'The nodes that live, and those that vanished within the last seconds.' },
);

/** The route that shows the nodes; for administrators of the default tenant. */
export function nodeRoutes({ engine }: { readonly engine: Pick<EngineApi, 'nodes'> }): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: `${PREFIX}/nodes`,
      summary: 'The nodes and how they are',
      tag: 'nodes',
      access: 'admin',
      rate: 'standard',
      answers: { 200: nodesAnswer },
      async handle({ principal }) {
        requireLandlord(principal);
        return json(200, { nodes: engine.nodes().map(wireNode) });
      },
    }),
  ];
}

function wireNode(node: NodeView) {
  return {
    node_id: node.id,
    version: node.version,
    url: node.url,
    ...(node.region === undefined ? {} : { region: node.region }),
    ...(node.labels === undefined ? {} : { labels: node.labels }),
    state: node.state,
    leads: node.leads,
    running_tasks: node.running,
    started_at: instant(node.startedAt),
    seen_at: instant(node.seenAt),
  };
}
