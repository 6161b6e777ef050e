// The package's front door: what programs import from 'batuta'.

export { Batuta } from './app/batuta.ts';
export type { RunningServer } from './app/compose.ts';
export type { Config } from './app/config.ts';
export * from './sdk/index.ts';
