// Plays the human: looks at what waits for approval and decides it, with an API key that may do that and nothing else. A person would do the
// same two requests in the dashboard, a chat or with curl.

import { setTimeout as pause } from 'node:timers/promises';
import type { Login } from '../connect.ts';

interface Approval {
  readonly approval_id: string;
  readonly task_id: string;
  readonly title: string;
  readonly message: string;
}

const LOOK_MS = 200;

/** Decides what the workflow asks until the signal: a release has to say what the thing costs. */
export async function edit(login: Login, workflowId: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const { approvals } = (await ask(login, 'GET', '/approvals')) as { approvals: readonly Approval[] };
    for (const { approval_id: id, title, message } of approvals.filter(one => one.task_id === workflowId)) {
      console.log(`\n${title}\n  ${message}`);
      if (/costs/.test(message)) {
        await ask(login, 'POST', `/approvals/${id}/approve`, { comment: 'Good.' });
        console.log('editor: approved');
      } else {
        const comment = 'Say what it costs.';
        await ask(login, 'POST', `/approvals/${id}/reject`, { comment });
        console.log(`editor: rejected. ${comment}`);
      }
    }
    await pause(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
}

async function ask(login: Login, method: string, path: string, body?: object): Promise<unknown> {
  const response = await fetch(`${login.url}/api/v2${path}`, {
    method,
    headers: {
      'x-api-key': login.apiKey,
      'x-api-secret': login.apiSecret,
      'content-type': 'application/json',
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  return await response.json();
}
