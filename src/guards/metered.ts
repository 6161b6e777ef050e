// The way out as one attempt has it: what it sends and gets is counted, and goes no faster than its bandwidth.

import type { Outbound, OutboundAnswer, OutboundRequest, Traffic } from '../engine/ports/outbound.ts';

/** The same way out for one attempt; answers count decompressed, and a request has as much longer as its limit makes it take (`SAM-117`). */
export function metered(outbound: Outbound, traffic: Traffic): Outbound {
  return {
    async send(request) {
      const bytes = request.body?.length ?? 0;
      traffic.call();
      traffic.count({ sent: bytes });
      await traffic.turn(bytes, request.signal);
      if (request.receive !== undefined || traffic.isLimited)
        return await sendPaced(request, outbound, traffic);
      const answer = await outbound.send(request);
      traffic.count({ received: answer.body.length });
      return answer;
    },
    check: url => outbound.check(url),
    stop: () => outbound.stop(),
  };
}

/** Takes the body as it comes, so that slow taking slows the sender. */
async function sendPaced(
  request: OutboundRequest,
  outbound: Outbound,
  traffic: Traffic,
): Promise<OutboundAnswer> {
  const { signal, timeoutMs, answerBytesMax, receive } = request;
  const kept: Uint8Array[] = [];
  const keep: NonNullable<typeof receive> = async (_head, chunks) => {
    for await (const chunk of chunks) kept.push(chunk);
  };
  const answer = await outbound.send({
    ...request,
    timeoutMs: timeoutMs + traffic.msFor(answerBytesMax),
    receive: (head, chunks) => (receive ?? keep)(head, passing(chunks, traffic, signal)),
  });
  return receive === undefined ? { ...answer, body: Buffer.concat(kept) } : answer;
}

async function* passing(
  chunks: AsyncIterable<Uint8Array>,
  traffic: Traffic,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of chunks) {
    traffic.count({ received: chunk.length });
    await traffic.turn(chunk.length, signal);
    yield chunk;
  }
}
