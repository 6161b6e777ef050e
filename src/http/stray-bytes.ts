// What is done with bytes that are no HTTP request: they are answered 400 and the line is cut, but never in the middle of an answer to
// a request before them.

import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Node knows the answer that is being written on a connection, and tells no error handler of it. */
interface AnsweringSocket extends Socket {
  readonly _httpMessage?: (ServerResponse & { readonly req: IncomingMessage }) | null;
}

/**
 * Calls back once nothing is left to be answered before the bytes that could not be read. Where they were the body of a request whose
 * answer has begun, nothing can be said any more: the connection ends.
 */
export function afterAnswers(socket: Socket, refuse: () => void): void {
  const { _httpMessage: answer } = socket as AnsweringSocket;
  if (answer === null || answer === undefined) refuse();
  else if (answer.req.complete) answer.once('close', () => afterAnswers(socket, refuse));
  else if (answer.headersSent) socket.destroy();
  else refuse();
}

/** Writes an answer of our own making and ends the connection. */
export function hangUp(
  socket: Duplex,
  status: number,
  { body, requestId }: { readonly body: string; readonly requestId: string },
): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}\r\ncontent-type: application/json; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nx-request-id: ${requestId}\r\nconnection: close\r\n\r\n${body}`,
  );
}
