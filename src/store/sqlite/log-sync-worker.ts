// Syncs the file it was given whenever it is told to, answering null or the error.

import { fdatasyncSync, openSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

const file = openSync(String(workerData), 'r+');

parentPort?.on('message', () => {
  try {
    fdatasyncSync(file);
    parentPort?.postMessage(null);
  } catch (error) {
    parentPort?.postMessage(error);
  }
});
