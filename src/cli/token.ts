// `batuta token`: trades an API key for a JWT, for programs that take nothing else.

import type { CommandSpec } from './command.ts';
import { findConnection } from './connection.ts';
import { EXIT, UsageError } from './failure.ts';

/** Prints a token, or spends a refresh token, or ends one. */
export const tokenCommand: CommandSpec = {
  name: 'token',
  summary: 'trade an API key for a token',
  options: [
    {
      flags: '--scope <permission>',
      description: 'narrow it to these permissions (repeatable)',
      repeatable: true,
    },
    { flags: '--refresh <token>', description: 'trade a refresh token in instead' },
    { flags: '--revoke <token>', description: 'end a token instead' },
  ],
  examples: [
    'curl -H "Authorization: Bearer $(batuta token)" http://127.0.0.1:8400/api/v2/task-status',
    'batuta token --scope task:read --json',
  ],
  connects: true,
  async run({ flags, client, output, host }) {
    const revoked = flags.text('revoke');
    if (revoked !== undefined) {
      await client.revoke(revoked);
      output.answer({ revoked: true }, () => output.paint.green('revoked'));
      return EXIT.ok;
    }
    const refresh = flags.text('refresh');
    const answer = refresh === undefined ? await client.token(keyFrom()) : await client.refresh(refresh);
    output.answer(answer, () => answer.access_token);
    return EXIT.ok;

    function keyFrom(): Parameters<typeof client.token>[0] {
      const connection = {
        url: flags.text('url'),
        apiKey: flags.text('apiKey'),
        apiSecret: flags.text('apiSecret'),
        dataDir: flags.text('dataDir'),
      };
      const given = Object.fromEntries(Object.entries(connection).filter(([, value]) => value !== undefined));
      const { credentials } = findConnection(given, { ...host.environment, BATUTA_TOKEN: undefined });
      if (credentials === undefined || !('apiKey' in credentials))
        throw new UsageError(
          'a token is traded for an API key, and there is none',
          'give --api-key and --api-secret',
        );
      return { ...credentials, scope: flags.list('scope')?.join(' ') };
    }
  },
};
