// Telling of tasks over a real store: in order, until it was told, and what cannot be worded holds up nothing.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { openHouse, order } from '../../../test/harness.ts';
import { VirtualClock } from '../../../test/simulation/clock.ts';
import { DomainError } from '../../domain/errors.ts';
import { DEFAULT_TENANT } from '../../domain/ids.ts';
import type { Draft } from '../../domain/message.ts';
import { silentLog } from '../../runtime/log.ts';
import type { MessageWire } from '../ports/message-wire.ts';
import { draft, wire } from './fixture.test.ts';
import { Herald } from './herald.ts';
