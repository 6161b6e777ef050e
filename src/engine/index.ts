// The engine by itself, for programs that bring their own store, executors and channels.

export type * from './api.ts';
export { Engine, type EngineOptions, type EngineParts } from './engine.ts';
export type * from './ports/channel.ts';
export * from './ports/executor.ts';
export type * from './ports/outbound.ts';
export * from './ports/quotas.ts';
export type * from './ports/schemas.ts';
export type * from './ports/sealer.ts';
export type * from './ports/secrets.ts';
