// How many envelopes a second one core checks: with the check every wire uses, with bare Ajv, and with Zod, which is installed with the
// peers. `node bench/validation.ts [seconds]` prints one line of JSON.

import { loadavg } from 'node:os';
import { Ajv } from 'ajv';
import type { TSchema } from 'typebox';
import { MESSAGES } from '../src/protocols/army/schemas.ts';
import { bodyCheck } from '../src/protocols/validation.ts';

const SECONDS = Number(process.argv[2] ?? 2);
const envelope = {
  ...{
    id: 'msg_001',
    timestamp: '2026-01-01T12:00:00.000Z',
    from: 'coordinator',
    to: 'writer',
    type: 'task_request',
  },
  ...{ correlation_id: 'msg_001', protocol_version: '1.0.0' },
  payload: {
    ...{ task_id: 'task_001', task_type: 'write', description: 'an article about batons' },
    parameters: { topic: 'batons', length: 800 },
    context: { user_id: 'user-1', session_id: 'session-1' },
    expected_output: { format: 'markdown', sections: ['Introduction', 'History'] },
    constraints: { max_tokens: 2_000, max_time: 'PT5M', required_validation: true },
  },
  metadata: { priority: 'high', retry_count: 0, tags: ['article'] },
};
const schema: TSchema = MESSAGES.task_request;

const check = bodyCheck(schema);
const ajv = new Ajv({ strict: false, validateFormats: false }).compile(schema);
const zod = await zodCheck();
console.log(
  JSON.stringify({
    perSecond: rate(value => check(value) === null),
    ajvPerSecond: rate(value => ajv(value)),
    zodPerSecond: zod === null ? null : rate(zod),
    load1m: Math.round((loadavg()[0] ?? 0) * 10) / 10,
  }),
);

function rate(isValid: (value: unknown) => boolean): number {
  for (let warm = 0; warm < 10_000; warm++)
    if (!isValid(envelope)) throw new Error('the envelope is not valid');
  const began = performance.now();
  let checked = 0;
  while (performance.now() - began < SECONDS * 1_000) {
    for (let round = 0; round < 1_000; round++) isValid(envelope);
    checked += 1_000;
  }
  return Math.round(checked / ((performance.now() - began) / 1_000));
}

/** The same shape in Zod; null where it is not installed. */
async function zodCheck(): Promise<((value: unknown) => boolean) | null> {
  const peer = new URL('./peers/node_modules/zod/index.js', import.meta.url).href;
  const zod = await import(peer).catch(() => null);
  if (zod === null) return null;
  const { z } = zod;
  const identifier = z.string().regex(/^[A-Za-z0-9._:-]{1,200}$/);
  const role = z.enum([
    'coordinator',
    'specialist',
    'researcher',
    'writer',
    'analyst',
    'validator',
    'memory',
    'tool',
    'supervisor',
  ]);
  const shape = z.looseObject({
    ...{
      id: identifier,
      timestamp: z.iso.datetime({ offset: true }),
      from: role,
      to: role,
      type: z.literal('task_request'),
    },
    payload: z.looseObject({
      ...{ task_id: identifier, task_type: z.string().min(1), description: z.string().max(100_000) },
      parameters: z.looseObject({}).optional(),
      context: z.looseObject({}).optional(),
      expected_output: z
        .looseObject({ format: z.string().optional(), sections: z.array(z.string()).optional() })
        .optional(),
      constraints: z
        .looseObject({
          max_tokens: z.int().min(0).optional(),
          max_time: z.string().optional(),
          required_validation: z.boolean().optional(),
        })
        .optional(),
    }),
    metadata: z.looseObject({
      priority: z.enum(['low', 'normal', 'high', 'critical']),
      retry_count: z.int().min(0).optional(),
      tags: z.array(z.string()).optional(),
    }),
  });
  return value => shape.safeParse(value).success;
}
