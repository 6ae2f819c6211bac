import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { onboard } from '../desk/onboard/onboard.ts';
import { type OnboardOptions, usualProvider } from '../desk/onboard/options.ts';
import { collect, epilogue } from '../options.ts';
import { anywayOption } from '../tenant-guard.ts';

export function define(command: Command): void {
  command
    .description(
      'Brings a client from nothing to a healthy grant: app, redirect URI, connect, organisation, health. It says each ' +
        'step, and what is left. What is there is kept, so run it again and it goes on where it was. On a terminal it ' +
        'asks for what is missing; elsewhere it names the option.',
    )
    .argument('<tenant>', 'the client: your name for the tenant, or . for the current one')
    .option('--provider <provider>', 'the provider (see grantry provider list)', usualProvider)
    .option('--app <name>', 'the app to use or to make (default: the app that serves the tenant, else TENANT-PROVIDER)')
    .option('--account <name>', 'a label for the account, when the tenant has several at this provider')
    .option('--client-id <id>', 'the client id of a new app, from the console of the provider')
    .option(
      '--client-secret-file <[dc=]file>',
      'the file with the client secret of a new app, or - for stdin; dc=FILE for one data centre',
      collect,
    )
    .option('--dc <dc>', 'the data centre of a new app; with --code, that of the code')
    .option('--redirect-uri <uri>', 'the redirect URI of a new app')
    .option('--scope <scope>', 'a scope of a new app; may be given several times', collect)
    .option(
      '--scope-reason <scope=text>',
      'why a new app needs a broad scope, for reviews; may be given several times',
      collect,
    )
    .option('--environment <name>', 'the environment of the organisation, such as sandbox')
    .option('--expect-org <id>', 'store nothing unless the consent is for this organisation')
    .option('--paste', 'for a browser on another machine: paste the URL at which it ends')
    .option('--code <->', 'read a Zoho self-client code from standard input')
    .option('--no-open', 'do not try to open a browser')
    .option(...anywayOption)
    .addHelpText(
      'after',
      epilogue(`The exit code is 4 if the grant needs re-authorization at the end.

Examples:
  grantry onboard acme
  grantry onboard acme --dc eu --client-id 1000.ABC \\
    --client-secret-file acme.txt \\
    --scope ZohoCRM.modules.ALL --scope ZohoCRM.org.READ
  grantry onboard acme-sandbox --app zoho-eu --environment sandbox
  grantry onboard acme --expect-org 20071234567 --paste`),
    )
    .action(async (tenant: string, options: OnboardOptions) => onboard(contextOf(command), tenant, options));
}
