// A member of the team, in a process of its own: node member.ts researcher|writer|validator. It is told by its environment where the server
// is and which key is its own, says a line when it listens, and ends when it is told to.

import { readdirSync, readFileSync } from 'node:fs';
import { Agent, type Letter, type TaskLetter } from '../../src/sdk/index.ts';
import { findLogin } from '../connect.ts';

/** A sentence of a document that has to do with the topic. */
interface Finding {
  readonly source: string;
  readonly sentence: string;
}

const DOCUMENTS = new URL('documents/', import.meta.url);
const role = process.argv[2] ?? '';
const { url, apiKey, apiSecret } = findLogin();
const skills = { researcher: ['research'], writer: ['write'] }[role] ?? [];
const agent = new Agent({
  ...{ url, credentials: { apiKey, apiSecret }, id: role, dialect: 'army', roles: [role], skills },
  onError: error => console.error(`${role}:`, error),
});

if (role === 'researcher') agent.on('task_request', research);
if (role === 'writer') agent.on('task_request', write);
if (role === 'validator') agent.on('validation_request', judge);

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void agent.stop());
await agent.start();
console.log(`${role} listens`);

/** Reads the documents, and leaves what it found in the memory for whoever goes on. */
async function research({ task }: TaskLetter) {
  const topic = String(inputOf(task).topic);
  const word = new RegExp(`\\b${topic}s?\\b`, 'i');
  const findings = readdirSync(DOCUMENTS)
    .toSorted()
    .flatMap(source =>
      readFileSync(new URL(source, DOCUMENTS), 'utf8')
        .split('\n')
        .filter(line => line !== '' && !line.startsWith('#') && word.test(line))
        .map((sentence): Finding => ({ source, sentence })),
    );
  await agent.remember({
    key: `findings:${topic}`,
    value: { findings: [...findings] } as never,
    tags: ['findings'],
  });
  return { findings: findings.length, documents: new Set(findings.map(({ source }) => source)).size };
}

/** Writes of what the memory has. What was objected to before is put right. */
async function write({ task }: TaskLetter) {
  const { topic, objections } = inputOf(task);
  const answer = await agent.recall({ text: `findings ${String(topic)}`, tags: ['findings'] });
  const { results } = answer as unknown as {
    readonly results: readonly {
      readonly key: string;
      readonly value: { readonly findings: readonly Finding[] };
    }[];
  };
  const findings = results.find(({ key }) => key === `findings:${String(topic)}`)?.value.findings ?? [];
  const isNamed = Array.isArray(objections) && objections.length > 0;
  const lines = findings.map(({ source, sentence }) =>
    isNamed ? `- ${sentence} (${source})` : `- ${sentence}`,
  );
  return `# What our documents say of the ${String(topic)}\n\n${lines.join('\n')}\n`;
}

/** Every line of a report says where it is from. */
async function judge({ payload }: Letter) {
  const lines = String((payload as { readonly content: string }).content).split('\n');
  const bare = lines.filter(line => line.startsWith('- ') && !/\(\w+\.md\)$/.test(line));
  return {
    valid: bare.length === 0,
    score: bare.length === 0 ? 1 : 0.5,
    issues: bare.map(line => `no source: ${line.slice(2)}`),
    recommendations: bare.length === 0 ? [] : ['name the document after each sentence'],
  };
}

function inputOf(task: TaskLetter['task']): Readonly<Record<string, unknown>> {
  return task.input as Readonly<Record<string, unknown>>;
}
