// `batuta nodes`: the processes that serve from one store.

import type { CommandSpec } from './command.ts';
import { EXIT } from './failure.ts';
import { table } from './output.ts';
import { agoText } from './task-text.ts';

/** Lists nodes. */
export const nodesCommand: CommandSpec = {
  name: 'nodes',
  summary: 'list the nodes that serve from one database',
  examples: ['batuta nodes', 'batuta nodes --json'],
  connects: true,
  async run({ client, output, host }) {
    const nodes = await client.nodes();
    const { paint } = output;
    output.answer(nodes, () =>
      table(
        ['ID', 'STATE', 'CHORES', 'RUNNING', 'REGION', 'LABELS', 'VERSION', 'SEEN', 'URL'],
        nodes.map(node => [
          node.node_id,
          node.state === 'active' ? paint.green(node.state) : paint.yellow(node.state),
          node.leads ? 'yes' : '',
          String(node.running_tasks),
          node.region ?? '',
          (node.labels ?? []).join(', '),
          node.version,
          agoText(node.seen_at, host.clock.now()),
          node.url ?? '',
        ]),
        output,
      ),
    );
    return EXIT.ok;
  },
};
