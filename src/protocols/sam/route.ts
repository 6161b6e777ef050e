// Where SAM's routes live, and how they are written.

export { json, route, type TypedRoute } from '../route.ts';

/** Where every route of this wire lives (`SAM-1`). */
export const PREFIX = '/api/v2';
