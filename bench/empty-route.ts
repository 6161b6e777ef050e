// `node bench/empty-route.ts [--seconds 6]`: the ceiling of a durable POST, namely what Fastify alone does with an execute-task body
// that it checks and throws away. The server has a thread of its own; 64 connections, no pipelining. Prints one line of JSON.

import { once } from 'node:events';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import autocannon from 'autocannon';
import { fastify } from 'fastify';
import { type Static, Type } from 'typebox';

const CONNECTIONS = 64;
const text = Type.String({ minLength: 1, maxLength: 200 });
const names = Type.Array(text, { maxItems: 100 });
const anything = Type.Object({}, { additionalProperties: true });

const executeTask = Type.Object(
  {
    task_id: Type.String({ pattern: '^[A-Za-z0-9._:-]{1,200}$' }),
    task_type: Type.Enum([
      'code_execution',
      'web_automation',
      'data_processing',
      'api_integration',
      'custom',
    ]),
    description: Type.String({ minLength: 1, maxLength: 10_000 }),
    priority: Type.Optional(Type.Enum(['low', 'normal', 'high', 'urgent', 'critical'])),
    timeout: Type.Optional(Type.Integer({ minimum: 1, maximum: 604_800 })),
    orchestrator_info: Type.Object({
      agent_id: text,
      timestamp: Type.String({ maxLength: 40 }),
      session_id: Type.Optional(text),
      user_id: Type.Optional(text),
      correlation_id: Type.Optional(text),
    }),
    task_data: anything,
    execution_config: Type.Optional(
      Type.Object({
        max_retries: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
        retry_strategy: Type.Optional(Type.Enum(['exponential', 'linear', 'fixed', 'custom'])),
        retry_delay: Type.Optional(Type.Number({ minimum: 0 })),
        resource_limits: Type.Optional(
          Type.Object({
            memory_mb: Type.Optional(Type.Number({ minimum: 0 })),
            cpu_cores: Type.Optional(Type.Number({ minimum: 0 })),
            disk_mb: Type.Optional(Type.Number({ minimum: 0 })),
          }),
        ),
        environment: Type.Optional(
          Type.Object({
            variables: Type.Optional(Type.Record(text, Type.String())),
            secrets: Type.Optional(names),
            dependencies: Type.Optional(names),
          }),
        ),
      }),
    ),
    notification_config: Type.Optional(
      Type.Object({
        webhook_url: Type.String({ maxLength: 2_048 }),
        webhook_secret: Type.Optional(text),
        notification_events: Type.Optional(names),
        retry_policy: Type.Optional(Type.Object({ max_attempts: Type.Integer({ minimum: 1, maximum: 20 }) })),
      }),
    ),
    context: Type.Optional(anything),
  },
  { additionalProperties: true },
);

const example: Static<typeof executeTask> = {
  task_id: 'task-1',
  task_type: 'custom',
  description: 'an example of everyday size',
  priority: 'normal',
  timeout: 300,
  orchestrator_info: {
    agent_id: 'manus-1',
    timestamp: '2026-01-01T00:00:00.000Z',
    correlation_id: 'correlation-1',
  },
  task_data: { type_name: 'echo', body: 'x'.repeat(200) },
  execution_config: { max_retries: 3, resource_limits: { memory_mb: 256, cpu_cores: 1 } },
};

async function serve(): Promise<void> {
  const server = fastify();
  server.post('/execute-task', { schema: { body: executeTask } }, () => ({ status: 'accepted' }));
  await server.listen({ host: '127.0.0.1', port: 0 });
  parentPort?.postMessage(server.listeningOrigin);
}

async function measure(): Promise<void> {
  // What else the machine was doing: a figure taken on a busy one is worth little.
  const load1m = Math.round((loadavg()[0] ?? 0) * 10) / 10;
  const { values } = parseArgs({ options: { seconds: { type: 'string', default: '6' } } });
  const server = new Worker(new URL(import.meta.url));
  const [origin] = await once(server, 'message');
  const body = JSON.stringify(example);
  const result = await autocannon({
    url: `${origin}/execute-task`,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
    connections: CONNECTIONS,
    pipelining: 1,
    duration: Number(values.seconds),
  });
  await server.terminate();
  const { requests, latency, non2xx, errors } = result;
  console.log(
    JSON.stringify({
      route: 'empty',
      requestsPerSecond: Math.round(requests.mean),
      p50Ms: latency.p50,
      p99Ms: latency.p99,
      failed: non2xx + errors,
      bodyBytes: Buffer.byteLength(body),
      connections: CONNECTIONS,
      load1m,
    }),
  );
}

await (isMainThread ? measure() : serve());
