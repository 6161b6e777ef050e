// The frames a client may send through a socket, as schemas.

import Type from 'typebox';
import { BATCH_MAX } from './media.ts';

const ref = Type.Optional(Type.String({ maxLength: 200 }));

/** One verdict on a delivery. */
export const ackItem = Type.Object({
  delivery_id: Type.String({ minLength: 1, maxLength: 700 }),
  outcome: Type.Enum(['ack', 'nack', 'extend', 'reject']),
  delay_ms: Type.Optional(Type.Integer({ minimum: 0, maximum: 43_200_000 })),
  visibility_s: Type.Optional(Type.Integer({ minimum: 1, maximum: 43_200 })),
  reason: Type.Optional(Type.String({ maxLength: 2_000 })),
});

/** Which inbox is read, and how much may come before it is acknowledged. */
export const helloFrame = Type.Object({
  frame: Type.Literal('hello'),
  inbox: Type.Optional(Type.String({ minLength: 1, maxLength: 400 })),
  credit: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000 })),
  visibility: Type.Optional(Type.Integer({ minimum: 1, maximum: 43_200 })),
});

/** A message, or several. */
export const sendFrame = Type.Object({
  frame: Type.Literal('send'),
  ref,
  message: Type.Optional(Type.Unknown()),
  messages: Type.Optional(Type.Array(Type.Unknown(), { minItems: 1, maxItems: BATCH_MAX })),
});

/** Verdicts on deliveries. */
export const ackFrame = Type.Object({
  frame: Type.Literal('ack'),
  ref,
  items: Type.Array(ackItem, { minItems: 1, maxItems: BATCH_MAX }),
});

/** More deliveries may come. */
export const creditFrame = Type.Object({
  frame: Type.Literal('credit'),
  credit: Type.Integer({ minimum: 1, maximum: 1_000 }),
});
