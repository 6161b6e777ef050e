// `batuta keys`: API keys, made, listed, rotated and revoked.

import { TASK_TYPES, type TaskType } from '../domain/task.ts';
import type { ApiKeySecret } from '../sdk/wire-admin.ts';
import type { CommandCall, CommandSpec } from './command.ts';
import { EXIT } from './failure.ts';
import { facts, table } from './output.ts';

const list: CommandSpec = {
  name: 'list',
  isDefault: true,
  summary: 'list keys, oldest first',
  examples: ['batuta keys'],
  connects: true,
  async run({ client, output }) {
    const keys = await client.apiKeys.list({ limit: 1_000 });
    output.answer(keys, () =>
      keys.length === 0
        ? 'no keys'
        : table(
            ['KEY', 'NAME', 'STATE', 'EXPIRES', 'PERMISSIONS'],
            keys.map(key => [
              key.api_key,
              key.name ?? '',
              typeof key.revoked_at === 'string' ? output.paint.red('revoked') : output.paint.green('active'),
              key.expires_at ?? 'never',
              (key.permissions ?? []).join(', '),
            ]),
            output,
          ),
    );
    return EXIT.ok;
  },
};

const create: CommandSpec = {
  name: 'create',
  summary: 'make a key; its secret is shown this once',
  positionals: [{ name: '<name>', description: 'what it is for' }],
  options: [
    {
      flags: '-p, --permission <name>',
      description: 'what it may do (repeatable; task:execute and task:read where absent)',
      repeatable: true,
    },
    { flags: '--task-type <type>', description: `only tasks of this type (repeatable)`, repeatable: true },
    { flags: '--rate-limit <n>', description: 'requests an hour', integer: { min: 1, max: 1_000_000_000 } },
    { flags: '--expires <instant>', description: 'when it stops working (ISO 8601)' },
    { flags: '--allow-ip <cidr>', description: 'only from this network (repeatable)', repeatable: true },
    { flags: '--agent <id>', description: 'speaks for this agent alone' },
  ],
  examples: [
    'batuta keys create ci --permission task:execute,task:read',
    'batuta keys create worker-7 --permission task:write-result --agent worker-7',
  ],
  connects: true,
  async run(call) {
    const { args, flags, client } = call;
    const key = await client.apiKeys.create({
      name: args[0] ?? '',
      permissions: flags.list('permission') ?? ['task:execute', 'task:read'],
      task_types: flags.list('taskType')?.filter(isTaskType),
      rate_limit: flags.number('rateLimit'),
      expires_at: flags.text('expires'),
      allowed_ips: flags.list('allowIp'),
      agent_id: flags.text('agent'),
    });
    return showSecret(call, key);
  },
};

const rotate: CommandSpec = {
  name: 'rotate',
  summary: 'give a key a new secret; the old one works 24 hours more',
  positionals: [{ name: '<key>', description: 'the key' }],
  examples: ['batuta keys rotate bk_0123456789abcdef'],
  connects: true,
  run: async call => showSecret(call, await call.client.apiKeys.rotate(call.args[0] ?? '')),
};

const revoke: CommandSpec = {
  name: 'revoke',
  summary: 'end a key for good',
  positionals: [{ name: '<key>', description: 'the key' }],
  examples: ['batuta keys revoke bk_0123456789abcdef'],
  connects: true,
  async run({ args: [keyId = ''], client, output }) {
    await client.apiKeys.revoke(keyId);
    output.answer({ api_key: keyId, revoked: true }, () => `${output.paint.green('revoked')} ${keyId}`);
    return EXIT.ok;
  },
};

const usage: CommandSpec = {
  name: 'usage',
  summary: 'show how a key is used, day by day',
  positionals: [{ name: '<key>', description: 'the key' }],
  examples: ['batuta keys usage bk_0123456789abcdef'],
  connects: true,
  async run({ args: [keyId = ''], client, output }) {
    const answer = await client.apiKeys.usage(keyId);
    output.answer(answer, () => {
      const days = Array.isArray(answer.days) ? (answer.days as readonly Record<string, unknown>[]) : [];
      const rows = days.map(day => [String(day.date), String(day.requests), String(day.failures)]);
      return `last used ${String(answer.last_used_at ?? 'never')}\n${table(['DAY', 'REQUESTS', 'FAILURES'], rows, output)}`;
    });
    return EXIT.ok;
  },
};

/** Manages API keys. */
export const keysCommand: CommandSpec = {
  name: 'keys',
  summary: 'list, make, rotate and revoke API keys',
  examples: ['batuta keys', 'batuta keys create ci', 'batuta keys revoke bk_0123456789abcdef'],
  connects: true,
  subcommands: [list, create, rotate, revoke, usage],
};

function showSecret({ output }: CommandCall, key: ApiKeySecret): number {
  output.answer(key, () =>
    facts(
      [
        ['api key', key.api_key],
        ['api secret', key.api_secret],
        ['permissions', (key.permissions ?? []).join(', ')],
      ],
      output.paint,
    ),
  );
  output.note('the secret is not shown again');
  return EXIT.ok;
}

function isTaskType(text: string): text is TaskType {
  return TASK_TYPES.some(type => type === text);
}
