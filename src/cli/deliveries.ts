// `batuta deliveries`: where notifications went, how that went, and sending them again.

import type { DeliveryStatus } from '../domain/delivery.ts';
import type { DeliveryView } from '../sdk/wire-admin.ts';
import { type CommandSpec, instantFrom } from './command.ts';
import { EXIT } from './failure.ts';
import { facts, type Paint, table } from './output.ts';

const STATUSES: readonly DeliveryStatus[] = ['pending', 'sending', 'delivered', 'failed', 'dropped'];

const list: CommandSpec = {
  name: 'list',
  isDefault: true,
  summary: 'list deliveries, newest first',
  options: [
    { flags: '--task <id>', description: 'only of this task' },
    { flags: '--endpoint <url>', description: 'only to this endpoint' },
    { flags: '-s, --status <status>', description: 'only with this status', choices: STATUSES },
    { flags: '--since <when>', description: 'only newer: an instant, or an age such as 1h' },
    { flags: '-n, --limit <n>', description: 'at most so many (50)', integer: { min: 1, max: 1_000 } },
    { flags: '--offset <n>', description: 'skip so many', integer: { min: 0, max: 1_000_000_000 } },
  ],
  examples: ['batuta deliveries --status failed', 'batuta deliveries --task nightly-1 --json'],
  connects: true,
  async run({ flags, client, output, host }) {
    const since = flags.text('since');
    const page = await client.deliveries.list({
      task_id: flags.text('task'),
      endpoint: flags.text('endpoint'),
      status: flags.text('status') as DeliveryStatus | undefined,
      since: since === undefined ? undefined : instantFrom(since, host.clock.now(), '--since'),
      limit: flags.number('limit'),
      offset: flags.number('offset'),
    });
    output.answer(page, () =>
      page.deliveries.length === 0
        ? 'no deliveries'
        : table(
            ['ID', 'STATUS', 'EVENT', 'TASK', 'TRIES', 'LAST', 'ENDPOINT'],
            page.deliveries.map(delivery => [
              delivery.delivery_id,
              statusText(delivery.status, output.paint),
              delivery.event_type,
              delivery.task_id,
              String(delivery.attempts.length),
              lastText(delivery),
              delivery.endpoint,
            ]),
            output,
          ),
    );
    return EXIT.ok;
  },
};

const show: CommandSpec = {
  name: 'show',
  summary: 'show a delivery and every try of it',
  positionals: [{ name: '<delivery>', description: 'the delivery' }],
  examples: ['batuta deliveries show 0198c0de-0000-7000-8000-000000000001'],
  connects: true,
  async run({ args: [deliveryId = ''], client, output }) {
    const delivery = await client.deliveries.get(deliveryId);
    const { paint } = output;
    output.answer(delivery, () => {
      const head = `${paint.bold(delivery.delivery_id)}  ${statusText(delivery.status, paint)}`;
      const about = facts(
        [
          ['event', delivery.event_type],
          ['task', delivery.task_id],
          ['endpoint', delivery.endpoint],
          ['created', delivery.created_at],
        ],
        paint,
      );
      const tries = delivery.attempts.map(
        one =>
          `  ${one.attempt}. ${one.timestamp}  ${one.status ?? 'no answer'}  ${one.duration_ms} ms  ${one.answer}`,
      );
      return [head, about, ...tries].join('\n');
    });
    return EXIT.ok;
  },
};

const redeliver: CommandSpec = {
  name: 'redeliver',
  summary: 'send deliveries again, freshly signed',
  positionals: [{ name: '<delivery...>', description: 'the deliveries' }],
  examples: [
    'batuta deliveries redeliver 0198c0de-0000-7000-8000-000000000001',
    "batuta deliveries --status failed --json | jq -r '.deliveries[].delivery_id' | xargs batuta deliveries redeliver",
  ],
  connects: true,
  async run({ args, client, output }) {
    for (const deliveryId of args) {
      const copy = await client.deliveries.redeliver(deliveryId);
      output.item(copy, () => `${output.paint.green('sent again')} ${deliveryId} as ${copy.delivery_id}`);
    }
    return EXIT.ok;
  },
};

const endpoints: CommandSpec = {
  name: 'endpoints',
  summary: 'show how endpoints answer',
  examples: ['batuta deliveries endpoints'],
  connects: true,
  async run({ client, output }) {
    const all = await client.deliveries.endpoints();
    output.answer(all, () =>
      all.length === 0
        ? 'no endpoints yet'
        : table(
            ['BREAKER', 'ANSWERED WELL', '95 %', 'ENDPOINT'],
            all.map(({ endpoint, breaker, success_rate: share, p95_ms: p95 }) => [
              (breaker === 'closed' ? output.paint.green : output.paint.red)(breaker),
              share === null ? '' : `${Math.round(share * 100)} %`,
              p95 === null ? '' : `${Math.round(p95)} ms`,
              endpoint,
            ]),
            output,
          ),
    );
    return EXIT.ok;
  },
};

/** Shows deliveries and endpoints, and sends again. */
export const deliveriesCommand: CommandSpec = {
  name: 'deliveries',
  summary: 'list notifications, and send them again',
  examples: ['batuta deliveries --status failed', 'batuta deliveries endpoints'],
  connects: true,
  subcommands: [list, show, redeliver, endpoints],
};

function statusText(status: DeliveryStatus, paint: Paint): string {
  if (status === 'delivered') return paint.green(status);
  return status === 'failed' ? paint.red(status) : paint.dim(status);
}

function lastText({ attempts }: DeliveryView): string {
  const last = attempts.at(-1);
  return last === undefined ? '' : String(last.status ?? 'no answer');
}
