// The page that shows the state machine is the one the machine makes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TASK_STATES, TRANSITIONS } from '../src/domain/transitions.ts';
import { readStateMachine, renderStateMachine } from './state-machine.ts';

test('docs/state-machine.md is what `node test/state-machine.ts` writes', () => {
  assert.equal(readStateMachine(), renderStateMachine());
});

test('the page draws every transition and has a row for every state', () => {
  const page = renderStateMachine();
  for (const from of TASK_STATES) {
    assert.ok(page.includes(`| \`${from}\` |`), from);
    for (const to of TRANSITIONS[from]) assert.ok(page.includes(`  ${from} --> ${to}\n`), `${from} to ${to}`);
  }
});
