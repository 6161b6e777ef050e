// Which requirement a field of a task message answers to.

import type { FieldRequirements } from '../dialect/requirements.ts';

const CONTROL = ['pause', 'resume', 'cancel'].map(command => `task.control.${command}`);

/** By path, those of one type after it. */
export const FIELD_REQUIREMENTS: FieldRequirements = {
  '': 'TASK-1',
  type: 'TASK-2',
  protocol_version: 'TASK-105',
  signature: 'TASK-86',
  task_id: 'TASK-10',
  task_type: 'TASK-10',
  input: 'TASK-11',
  priority: 'TASK-12',
  deadline: 'TASK-13',
  requirements: 'TASK-14',
  dependencies: 'TASK-16',
  metadata: 'TASK-18',
  'task.status': 'TASK-20',
  'task.status status': 'TASK-21',
  'task.status progress': 'TASK-23',
  'task.status metrics': 'TASK-20',
  'task.status checkpoint': 'TASK-30',
  'task.status result': 'TASK-25',
  'task.status error': 'TASK-25',
  ...Object.fromEntries(CONTROL.map(type => [`${type} reason`, 'TASK-28'])),
  'task.control command': 'TASK-3',
  'task.control.resume checkpoint': 'TASK-29',
  'task.control.cancel reason': 'TASK-31',
  'task.control.ack command_id': 'TASK-32',
  'task.control.ack status': 'TASK-32',
  'task.control.reject command_id': 'TASK-33',
  'task.control.reject reason': 'TASK-33',
  'resource.allocate requirements': 'TASK-36',
  'resource.allocated resources': 'TASK-37',
  'resource.denied reason': 'TASK-38',
  'resource.release resource_ids': 'TASK-39',
  'state.sync state': 'TASK-46',
  'state.sync expected_version': 'TASK-46',
  'state.changed version': 'TASK-47',
  'state.verify version': 'TASK-48',
  'state.verify hash': 'TASK-48',
};
