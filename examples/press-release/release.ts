// From notes to a published page, with a model and a human (workflow.json): a model takes out the facts and writes a draft, an editor approves
// it or says what is missing, the model writes it again, and what was approved is set as a page.
//
//   npm run example -- press-release [--out release.html]
//   MODEL_KEY=… npm run example -- press-release --model-url https://api.openai.com/v1 --model gpt-4o-mini

import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Orchestrator } from '../../src/sdk/index.ts';
import { connect, findLogin } from '../connect.ts';
import { edit } from './editor.ts';
import { MODEL, openModel } from './model.ts';

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    'model-url': { type: 'string' },
    model: { type: 'string', default: MODEL },
  },
});
const client = connect();
const orchestrator = new Orchestrator({ client, agentId: 'press-office' });
await using standIn = await openModel();

// The provider is a secret of the tenant; an operator sets up one for all by BATUTA_MODEL_URL instead.
const provider = {
  base_url: values['model-url'] ?? `${standIn.url}/v1`,
  ...(process.env.MODEL_KEY === undefined ? {} : { key: process.env.MODEL_KEY }),
  models: [values.model],
};
await client.secrets.set('press-model', JSON.stringify(provider));

const { task_id: id } = await orchestrator.submit({
  type: 'workflow_orchestration',
  description: 'Press release: the Aurora reading lamp',
  data: {
    ...JSON.parse(readFileSync(new URL('workflow.json', import.meta.url), 'utf8')),
    input: { notes: readFileSync(new URL('notes.txt', import.meta.url), 'utf8') },
  },
});

// Nobody decides what they asked for themselves: the editor has a key of their own.
const key = await client.apiKeys.create({ name: 'editor', permissions: ['approval:decide'] });
const done = new AbortController();
const editor = connect({ url: findLogin().url, apiKey: key.api_key, apiSecret: key.api_secret });
const editing = edit(editor, id, done.signal);
const { output } = await orchestrator.wait(id).finally(() => done.abort());
await editing;
await client.apiKeys.revoke(key.api_key);

const { result, artifacts } = output as {
  result: { text: string; approved_by: string };
  artifacts: { name: string; artifact_id: string }[];
};
console.log(`\npublished:\n  ${result.text}`);
const page = artifacts.find(({ name }) => name === 'release.html');
if (page === undefined) throw new Error('the workflow left no release.html');
const download = await client.artifacts.download(page.artifact_id);
if (values.out !== undefined) writeFileSync(values.out, await download.bytes());
