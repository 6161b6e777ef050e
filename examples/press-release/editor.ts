// Plays the human: looks at what waits for approval and decides it. A person would do the same in the dashboard, a chat or with curl.

import { setTimeout as pause } from 'node:timers/promises';
import type { BatutaClient } from '../../src/sdk/index.ts';

const LOOK_MS = 200;

/** Decides what the workflow asks until the signal: a release has to say what the thing costs. */
export async function edit(client: BatutaClient, workflowId: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const waiting = await client.approvals.list();
    for (const { approval_id: id, title, message } of waiting.filter(one => one.task_id === workflowId)) {
      console.log(`\n${title}\n  ${message}`);
      if (/costs/.test(message)) {
        await client.approvals.approve(id, 'Good.');
        console.log('editor: approved');
      } else {
        const comment = 'Say what it costs.';
        await client.approvals.reject(id, comment);
        console.log(`editor: rejected. ${comment}`);
      }
    }
    await pause(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
}
