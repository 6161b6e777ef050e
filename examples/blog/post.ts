// A post on the blog wire, from an idea to a published page: the planner plans, the coder runs the skills, the reviewer validates, the executor
// publishes. All four are the server's own and need no model; a remote agent registered under one of their names takes over.
//
//   npm run example -- blog [--topic "Tidal power"] [--out post.md]

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Agent, type JsonObject } from '../../src/sdk/index.ts';
import { connect, findLogin } from '../connect.ts';

const { values } = parseArgs({
  options: { topic: { type: 'string', default: 'Tidal power for small harbours' }, out: { type: 'string' } },
});
const { topic } = values;
const client = connect();
const { api_key: apiKey, api_secret: apiSecret } = await client.apiKeys.create({
  name: 'blog editor',
  agent_id: 'editor',
  permissions: [
    ...['message:send', 'message:receive', 'task:execute', 'task:read', 'task:control', 'task:write-result'],
    ...['memory:read', 'memory:write', 'knowledge:read'],
  ],
});
// Only who has the operator's role may ask all four; others ask the executor.
const editor = new Agent({
  ...{
    url: findLogin().url,
    credentials: { apiKey, apiSecret },
    id: 'editor',
    dialect: 'blog',
    roles: ['operator'],
  },
  onError: error => console.error('editor:', error),
});
editor.on('*', () => undefined);
await editor.start();

const plan = await ask('planner', {
  intent: 'generate-blog-post',
  context: { topic, tone: 'professional', length: 'short' },
});
const steps = plan.steps as unknown as readonly { readonly skill: string; readonly params: JsonObject }[];
console.log(`planner: ${steps.map(({ skill }) => skill).join(', ')}`);

let post: JsonObject = {};
for (const { skill, params } of steps) {
  const { title, content } = post;
  const result = await ask('coder', {
    skill,
    params: skill === 'generate_content' ? params : { ...params, title, content },
  });
  if (skill === 'generate_content') post = result;
  console.log(`coder: ${skill} ${summary(skill, result)}`);
}

const contentId = `post-${crypto.randomUUID()}`;
await ask('executor', { action: 'create_content', contentId, content: post });
try {
  await ask('executor', { action: 'publish_content', contentId });
} catch (error) {
  console.log(`executor: not yet: ${error instanceof Error ? error.message : String(error)}`);
}
const { result } = await ask('reviewer', { contentId, content: post });
const { approved, score, issues } = result as JsonObject;
console.log(`reviewer: ${approved === true ? 'approved' : 'not approved'} with ${String(score)} of 100`);
if (approved === true) {
  await ask('executor', { action: 'publish_content', contentId });
  console.log(`executor: published "${String(post.title)}"`);
  if (values.out !== undefined)
    writeFileSync(values.out, `# ${String(post.title)}\n\n${String(post.content)}\n`);
} else {
  for (const { code, message } of issues as unknown as readonly JsonObject[])
    console.log(`reviewer: ${String(code)}: ${String(message)}`);
  process.exitCode = 1;
}
await editor.stop();

/** What the agent answers; throws what it says went wrong. */
async function ask(to: string, payload: JsonObject): Promise<JsonObject> {
  const answer = await editor.ask({ type: 'request', to, payload });
  return answer.payload as JsonObject;
}

function summary(skill: string, result: JsonObject): string {
  if (skill === 'generate_content') return `wrote ${String(result.wordCount)} words`;
  if (skill === 'analyze_seo') return `gave ${String(result.score)} of 100`;
  return `${result.flagged === true ? 'flagged' : 'found nothing to object to'}`;
}
