import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { type ServeOptions, serve, taskBody } from '../../test/serve.ts';

const AUTH = 'host: x\r\nauthorization: Bearer admin\r\n';
const GARBAGE = 'THIS IS NOT HTTP\r\n\r\n';

async function setup(t: { after(fn: () => Promise<void>): void }, options: ServeOptions = {}) {
  const served = await serve(options);
  t.after(() => served.stop());
  /** All that comes back for these bytes until the other side hangs up. */
  const converse = async (...pieces: readonly string[]): Promise<string> => {
    const socket = connect(Number(new URL(served.url).port), '127.0.0.1');
    for (const piece of pieces) socket.write(piece);
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    return text;
  };
  return { ...served, converse };
}

/** The answers in what came back, each its status and its body, and what is left over. */
function answersIn(text: string): readonly (readonly [number, string])[] {
  const answers: (readonly [number, string])[] = [];
  for (let rest = text; rest !== ''; ) {
    const [head = '', ...more] = rest.split('\r\n\r\n');
    const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(head) ?? assert.fail(`no answer begins with ${rest}`);
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
    const body = more.join('\r\n\r\n');
    answers.push([Number(status), body.slice(0, length)]);
    rest = body.slice(length);
  }
  return answers;
}

test('SAM-1 bytes that are no request are answered 400, and the connection ends', async t => {
  const { converse } = await setup(t);
  const [[status, body] = [0, '']] = answersIn(await converse(GARBAGE));
  assert.equal(status, 400);
  assert.equal(JSON.parse(body).error.code, 'MALFORMED_BODY');
});

test('SAM-1 bytes that follow a request wait for its answer and do not spoil it', async t => {
  const { ask, converse } = await setup(t);
  await ask('POST', '/api/v2/execute-task', { body: taskBody('one') });
  const request = `GET /api/v2/task-status/one HTTP/1.1\r\n${AUTH}\r\n`;
  const answers = answersIn(await converse(request + request + GARBAGE));
  assert.deepEqual(
    answers.map(([status]) => status),
    [200, 200, 400],
  );
  assert.equal(JSON.parse(answers[1]?.[1] ?? '').task_id, 'one');
});

test('SAM-1 a body that breaks off into nonsense is answered 400 once', async t => {
  const { converse } = await setup(t);
  const head = `POST /api/v2/execute-task HTTP/1.1\r\n${AUTH}content-type: application/json\r\n`;
  const text = await converse(`${head}transfer-encoding: chunked\r\n\r\n2\r\n{"\r\nnonsense\r\n`);
  assert.deepEqual(
    answersIn(text).map(([status]) => status),
    [400],
  );
});

test('a stream under way is not written into by bytes that follow its request', async t => {
  const { ask, converse, server } = await setup(t);
  const later = { execution_config: { not_before: '2100-01-01T00:00:00Z' } };
  await ask('POST', '/api/v2/execute-task', { body: taskBody('one', later) });
  const talking = converse(`GET /api/v2/task-events/one HTTP/1.1\r\n${AUTH}\r\n`, GARBAGE);
  await ask('POST', '/api/v2/tasks/one/cancel', { body: {} });
  const text = await talking;
  assert.match(text, /event: end.*?\r\n0\r\n\r\nHTTP\/1\.1 400/s);
  assert.equal(server.raw.listening, true);
});
