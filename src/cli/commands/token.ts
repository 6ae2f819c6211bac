import type { Command } from 'commander';
import { checkKey, type GrantKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { tokenToJson } from '../../schemas/write-json.ts';
import { wholeNumber } from '../../vault/settings.ts';
import { type Context, contextOf, openContextVault } from '../context.ts';
import { epilogue } from '../options.ts';
import { actedTenant, anywayOption } from '../tenant-guard.ts';
import { writeAlone } from '../terminal/output.ts';
import { withProgress } from '../terminal/progress.ts';
import type { TokenInput } from '../token-arguments.ts';

export function define(command: Command): void {
  command
    .description('Prints one access token that is valid for at least SECONDS, and nothing else.')
    .argument('<tenant>', 'the tenant, or . for the current one')
    .argument('<provider>', 'the provider, such as zoho_crm')
    .option('-t, --min-validity <seconds>', 'seconds for which the token must still be valid', '60')
    .option('--account <name>', 'the account, when the tenant has several at this provider')
    .option('--rejected <generation>', 'report that the API refused this generation of the token; it is refreshed once')
    .option(...anywayOption)
    .addHelpText(
      'after',
      epilogue(`Examples:
  curl -H "Authorization: Bearer $(grantry token acme zoho_crm)" \\
    https://www.zohoapis.eu/crm/v8/org
  grantry token acme zoho_crm -t 600 --json`),
    )
    .action(async (tenant: string, provider: string, options: Omit<TokenInput, 'tenant' | 'provider'>) => {
      await handOutToken(contextOf(command), { ...options, tenant, provider });
    });
}

/** Prints one access token. */
export async function handOutToken(context: Context, input: TokenInput): Promise<void> {
  const minValidity = wholeNumber('-t', input.minValidity ?? '60', { min: 0, max: limits.minValiditySecondsMax });
  const rejected =
    input.rejected === undefined
      ? null
      : wholeNumber('--rejected', input.rejected, { min: 0, max: Number.MAX_SAFE_INTEGER });
  const tenant = actedTenant(context, input.tenant, { anyway: input.anyway, changes: false });
  const key: GrantKey = checkKey({ tenant, provider: input.provider, account: input.account });
  await using vault = await openContextVault(context, {}, { light: true });
  const token = await withProgress(context.world, 'Waiting for the provider', () =>
    rejected === null
      ? vault.getAccessToken(key, { minValidity })
      : vault.rejectAccessToken(key, rejected, { minValidity }),
  );
  if (token.generation === rejected) {
    const where = [token.dc, token.apiDomain].filter((part) => part !== undefined).join(', ');
    const api = where === '' ? `the API of ${key.provider}` : `the API of ${key.provider} (${where})`;
    context.output.note(`Generation ${rejected} was not replaced: ${api} accepts it.`);
  }
  if (context.output.json) {
    const dc = token.dc ?? (await vault.grants.get(key))?.dc ?? undefined;
    const whole = dc === undefined ? token : { ...token, dc };
    context.output.printJson(tokenToJson(whole, context.world.now()));
  } else writeAlone(`${token.accessToken}\n`);
}
