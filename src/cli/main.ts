#!/usr/bin/env node
// Where the process begins. Every start but the first is spared compiling: what was compiled is kept beside the installed packages.

import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

enableCompileCache(fileURLToPath(new URL('../../node_modules/.cache/batuta', import.meta.url)));
await import('./entry.ts');
