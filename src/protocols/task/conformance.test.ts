// The task wire passes what every message wire must.

import { testDialect } from '../../../test/dialects/conformance.ts';
import { openPost } from '../../../test/post.ts';
import { openBench, SETTINGS } from './fixture.test.ts';

testDialect('task', () => openPost(SETTINGS), openBench);
