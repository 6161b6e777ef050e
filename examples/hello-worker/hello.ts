// A task type of your own in forty lines: a worker that greets, and an orchestrator that asks for a greeting and waits for it. They
// meet only at the server, so they may as well be two programs on two machines.
//
//   npm start                                          in one terminal
//   node examples/hello-worker/hello.ts Ana            in another
//
// In a project of your own, import from 'batuta/sdk'.

import { readFileSync } from 'node:fs';
import { BatutaClient, Orchestrator, Worker } from '../../src/sdk/index.ts';

// What `npm start` leaves in its data directory; anywhere else, the API key you were given.
const login = JSON.parse(readFileSync(`${process.env.BATUTA_DATA ?? '.batuta'}/credentials.json`, 'utf8'));
const client = new BatutaClient({
  url: login.url,
  credentials: { apiKey: login.api_key, apiSecret: login.api_secret },
});

const worker = new Worker({
  client,
  agentId: 'greeter',
  handlers: {
    async greet(task, context) {
      context.progress(50, { currentStep: 'finding the words' });
      return { greeting: `Hello, ${task.data.name}!` };
    },
  },
});
await worker.start();

const orchestrator = new Orchestrator({ client, agentId: 'host' });
const { output } = await orchestrator.run({
  type: 'custom:greet',
  data: { name: process.argv[2] ?? 'world' },
});
console.log(output);

await worker.stop();
