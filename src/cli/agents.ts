// `batuta agents`: who runs tasks, and taking them out of service.

import type { AgentView } from '../sdk/wire-admin.ts';
import type { CommandSpec } from './command.ts';
import { EXIT } from './failure.ts';
import { type Paint, table } from './output.ts';
import { agoText } from './task-text.ts';

const list: CommandSpec = {
  name: 'list',
  isDefault: true,
  summary: 'list agents and how they are',
  examples: ['batuta agents', 'batuta agents --json'],
  connects: true,
  async run({ client, output, host }) {
    const agents = await client.agents.list({ limit: 1_000 });
    output.answer(agents, () =>
      agents.length === 0
        ? 'no agents'
        : table(
            ['ID', 'KIND', 'HEALTH', 'SLOTS FREE', 'ERRORS', 'REGION', 'LABELS', 'SEEN', 'TYPES'],
            agents.map(agent => [
              agent.agent_id,
              agent.kind,
              healthText(agent, output.paint),
              `${agent.capacity.free?.slots ?? '?'} of ${agent.capacity.slots ?? '?'}`,
              agent.error_rate === undefined ? '' : `${Math.round(agent.error_rate * 100)} %`,
              agent.region ?? '',
              (agent.labels ?? []).join(', '),
              agoText(agent.seen_at, host.clock.now()),
              agent.types.join(', '),
            ]),
            output,
          ),
    );
    return EXIT.ok;
  },
};

const drain: CommandSpec = {
  name: 'drain',
  summary: 'give an agent no more work; what it runs goes on',
  positionals: [{ name: '<agent>', description: 'the agent' }],
  examples: ['batuta agents drain worker-7'],
  connects: true,
  async run({ args: [agentId = ''], client, output }) {
    const agent = await client.agents.drain(agentId);
    output.answer(agent, () => `${output.paint.yellow('draining')} ${agent.agent_id}`);
    return EXIT.ok;
  },
};

const remove: CommandSpec = {
  name: 'remove',
  summary: 'forget an agent',
  positionals: [{ name: '<agent>', description: 'the agent' }],
  examples: ['batuta agents remove worker-7'],
  connects: true,
  async run({ args: [agentId = ''], client, output }) {
    await client.agents.remove(agentId);
    output.answer({ agent_id: agentId, removed: true }, () => `${output.paint.green('removed')} ${agentId}`);
    return EXIT.ok;
  },
};

/** Lists, drains and removes agents. */
export const agentsCommand: CommandSpec = {
  name: 'agents',
  summary: 'list, drain and remove agents',
  examples: ['batuta agents', 'batuta agents drain worker-7'],
  connects: true,
  subcommands: [list, drain, remove],
};

function healthText({ health }: AgentView, paint: Paint): string {
  switch (health) {
    case 'healthy':
      return paint.green(health);
    case 'degraded':
    case 'draining':
      return paint.yellow(health);
    case 'offline':
      return paint.red(health);
  }
}
