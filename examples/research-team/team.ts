// A team on the army wire: this process coordinates; researcher, writer and validator (member.ts) are processes of their own, each with a key
// that speaks for it alone. They work on the documents beside this file, and need no model.
//
//   npm run example -- research-team [--topic tide] [--out report.md] [--trace talk.mmd]

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Agent } from '../../src/sdk/index.ts';
import { connect, findLogin } from '../connect.ts';

const MEMBER = fileURLToPath(new URL('member.ts', import.meta.url));
const TRIES_MAX = 3;
const PERMISSIONS = [
  ...['message:send', 'message:receive', 'memory:read', 'memory:write'],
  ...['task:execute', 'task:read', 'task:write-result'],
];
const { values } = parseArgs({
  options: { topic: { type: 'string', default: 'tide' }, out: { type: 'string' }, trace: { type: 'string' } },
});
const { topic } = values;
const client = connect();
const { url } = findLogin();

await using resources = new AsyncDisposableStack();
for (const role of ['researcher', 'writer', 'validator']) await member(role);
const agent = new Agent({
  ...{
    url,
    credentials: await keyOf('coordinator'),
    id: 'coordinator',
    dialect: 'army',
    roles: ['coordinator'],
  },
  onError: error => console.error('coordinator:', error),
});
await agent.start();
resources.defer(() => agent.stop());

const exchange = `report-${crypto.randomUUID()}`;
const belongs = { correlationId: exchange };
const found = await agent.request({
  ...{ ...belongs, to: 'researcher', type: 'research', description: `find what there is of the ${topic}` },
  input: { topic },
});
console.log(`researcher: ${JSON.stringify(found)}`);

let report = '';
let objections: readonly string[] = [];
for (let tries = 1; tries <= TRIES_MAX; tries++) {
  const content = await agent.request({
    ...{ ...belongs, to: 'writer', type: 'write', description: `write a report on the ${topic}` },
    input: { topic, objections: [...objections] },
  });
  report = String(content);
  const { payload } = await agent.ask({
    ...{ ...belongs, type: 'validation_request', to: 'validator' },
    payload: { content: report, validation_rules: ['format_check'] },
  });
  const verdict = payload as unknown as { readonly valid: boolean; readonly issues: readonly string[] };
  console.log(
    `validator: draft ${tries} ${verdict.valid ? 'is good' : `has ${verdict.issues.length} faults`}`,
  );
  if (verdict.valid) break;
  objections = verdict.issues;
}
console.log(`\n${report}`);
if (values.out !== undefined) writeFileSync(values.out, report);

const diagram = await client.mail('army').diagram(exchange);
if (values.trace !== undefined) writeFileSync(values.trace, diagram);
const lines = diagram.split('\n').filter(line => /^ {2}p\d+-/.test(line));
console.log(`${lines.length} messages: batuta trace ${exchange} draws them`);

/** Starts a member, and waits until it listens. */
async function member(role: string): Promise<void> {
  const { apiKey, apiSecret } = await keyOf(role);
  const child: ChildProcess = spawn(process.execPath, [MEMBER, role], {
    env: { ...process.env, BATUTA_URL: url, BATUTA_API_KEY: apiKey, BATUTA_API_SECRET: apiSecret },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  resources.defer(async () => {
    child.kill();
    await exited;
  });
  if (child.stdout === null) throw new Error('a member without a voice');
  const [said] = await Promise.race([once(createInterface({ input: child.stdout }), 'line'), exited]);
  if (said !== `${role} listens`) throw new Error(`the ${role} did not start`);
}

/** A key that speaks for one agent alone. */
async function keyOf(agentId: string) {
  const { api_key: apiKey, api_secret: apiSecret } = await client.apiKeys.create({
    ...{ name: `research-team ${agentId}`, permissions: PERMISSIONS, agent_id: agentId },
  });
  return { apiKey, apiSecret };
}
