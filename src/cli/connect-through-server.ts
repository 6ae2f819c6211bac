import { GrantryError } from '../base/errors.ts';
import type { CheckedKey } from '../base/ids.ts';
import type { GrantryClient } from '../client/index.ts';
import type { Grant } from '../vault/types.ts';
import { openBrowser } from './browser.ts';
import type { Context } from './context.ts';
import { noteScopeFindings } from './scope-options.ts';
import { withProgress } from './terminal/progress.ts';

const pollMs = 1_000;

/** Makes a connect link at the server, prints it, and waits for the browser. Ctrl-C leaves the link valid. */
export async function connectThroughServer(
  { output, world }: Context,
  vault: GrantryClient,
  key: CheckedKey,
  options: {
    app?: string | undefined;
    scopes?: readonly string[] | undefined;
    addScopes?: readonly string[] | undefined;
    environment?: string | undefined;
    expectOrganization?: string | undefined;
    open: boolean;
  },
): Promise<Grant> {
  const { app, scopes, addScopes, environment, expectOrganization } = options;
  const wanted = { app, scopes, addScopes, environment, expectOrganization };
  const { id, url, expiresAt, warning, warnings } = await vault.connectSessions.create({ ...key, ...wanted });
  if (warning !== undefined) output.note(`Warning: ${warning}`);
  noteScopeFindings(output, warnings);
  output.note(`Open this URL in a browser, signed in as the tenant's user, or send it to that user:\n\n  ${url}\n`);
  if (options.open && process.stdout.isTTY && process.stderr.isTTY) await openBrowser(world, url);
  const until = expiresAt.toISOString().slice(11, 16);
  const waiting = `Waiting for the browser (the link works until ${until}Z; Ctrl-C leaves it valid)`;
  await withProgress(world, waiting, async () => {
    for (let told: string | null = null; ; ) {
      const session = await vault.connectSessions.get(id);
      const { state, error, detail } = session ?? { state: 'expired' as const, error: null, detail: null };
      if (state === 'completed') return;
      // The user may open the link again, while the operator reads why it failed.
      if (detail !== null && detail !== told) output.note(`The link was not completed: ${detail}`);
      told = detail;
      if (state === 'failed' || state === 'expired') {
        const why = error === null ? '' : ` (${detail ?? error})`;
        throw new GrantryError('authorization_failed', `The connect session ${state}${why}.`);
      }
      await world.sleep(pollMs);
    }
  });
  const grant = await vault.grants.get(key);
  if (grant !== null) return grant;
  const message = `The grant of ${key.tenant} at ${key.provider} was just connected and no longer exists.`;
  throw new GrantryError('internal', message);
}
