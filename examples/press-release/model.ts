// A model for want of a better one: it speaks the API that providers speak (POST /chat/completions, streamed or not, text or JSON by schema), so
// that the example needs no key and costs nothing. It reads notes of the form “Price: € 79”, and does what editors ask.

import type { ServerResponse } from 'node:http';
import { type FarEnd, farEnd, json } from '../far-end.ts';

/** What this model is called. */
export const MODEL = 'press-writer';

interface ChatRequest {
  readonly stream?: boolean;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
}

const WORDS_A_PIECE = 4;

/** Opens the model's API; it begins at `/v1`. */
export function openModel(): Promise<FarEnd> {
  return farEnd(({ url, body }, response) => {
    if (url.pathname !== '/v1/chat/completions')
      return json(response, { error: { message: 'no such path' } }, 404);
    const request: ChatRequest = JSON.parse(body);
    const prompt = request.messages.at(-1)?.content ?? '';
    answer(response, request.stream === true, replyTo(prompt), prompt);
  });
}

function replyTo(prompt: string): string {
  const product = noted(prompt, 'Product');
  if (product !== null)
    return JSON.stringify({
      product,
      price: noted(prompt, 'Price') ?? 'unknown',
      available: noted(prompt, 'Available') ?? 'soon',
    });
  const [, about, available] = /about (.+), available (.+)\./.exec(prompt) ?? [];
  if (about !== undefined)
    return `Today we present ${about}. It lights what matters, and is available ${available}.`;
  const [, price] = /"price":\s*"([^"]+)"/.exec(prompt) ?? [];
  const draft = prompt.slice(prompt.lastIndexOf('\n\n') + 2);
  return `${draft} It costs ${price ?? 'less than you think'}.`;
}

function noted(notes: string, name: string): string | null {
  return new RegExp(`^${name}: (.+)$`, 'm').exec(notes)?.[1] ?? null;
}

function answer(response: ServerResponse, isStream: boolean, reply: string, prompt: string): void {
  const base = { id: 'chat-1', created: 1, model: MODEL };
  const [read, written] = [tokensIn(prompt), tokensIn(reply)];
  const usage = { prompt_tokens: read, completion_tokens: written, total_tokens: read + written };
  if (!isStream) {
    const message = { role: 'assistant', content: reply };
    json(response, { ...base, choices: [{ index: 0, message, finish_reason: 'stop' }], usage });
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const write = (chunk: object): boolean =>
    response.write(`data: ${JSON.stringify({ ...base, ...chunk })}\n\n`);
  for (const content of reply.match(new RegExp(`(?:\\S+\\s*){1,${WORDS_A_PIECE}}`, 'g')) ?? [])
    write({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });
  write({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
  write({ choices: [], usage });
  response.end('data: [DONE]\n\n');
}

function tokensIn(text: string): number {
  return Math.ceil(text.length / 4);
}
