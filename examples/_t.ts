import { BatutaClient, Orchestrator, TaskFailedError, Worker, type WorkTask } from '../src/sdk/index.ts';
const client = new BatutaClient({ url: 'http://127.0.0.1:8400', credentials: { apiKey: 'a', apiSecret: 'b' } });
const worker = new Worker({
  client,
  agentId: 'adder-1',
  handlers: {
    add: async (task: WorkTask<{ a: number; b: number }>, context) => {
      context.progress(50, { currentStep: 'adding' });
      return { sum: task.data.a + task.data.b };
    },
    other: task => task.data.x ?? null,
    quiet: () => {},
    later: async () => {},
  },
});
await worker.start();
const orchestrator = new Orchestrator({ client, agentId: 'planner' });
const { output } = await orchestrator.run({ type: 'custom:add', data: { a: 1, b: 2 } });
const receive = orchestrator.webhooks('s', {
  task_completed: async body => console.log(body.task_id, body.result),
  task_failed: async () => ({ next_instructions: { action: 'retry' } }),
  any: async body => console.log(body.event_type),
});
console.log(output, receive, TaskFailedError);
