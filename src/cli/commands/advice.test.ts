/** The advice of the commands about one account of several leaves the tenant's other grants untouched. */
import { expect, it } from 'vitest';
import { makeBench } from '../../../test/support/bench.ts';
import { noteNextSteps } from '../desk/next-steps.ts';
import { onboardCommand } from '../desk/onboard/onboard.ts';
import { detailOf as adoptDetail } from './adopt.ts';
import { detailOf as recoverDetail } from './recover.ts';
import { noGrant } from './show.ts';

const key = { tenant: 'acme', provider: 'zoho_crm' };

it.each([
  ['default', ''],
  ['second', ' --account second'],
])('names the account %s in the advice', async (account, option) => {
  const about = { ...key, account };
  expect(recoverDetail({ ...about, outcome: 'refused', tried: 1 })).toBe(
    `every kept token was refused; run grantry connect acme zoho_crm${option}`,
  );
  expect(adoptDetail({ ...about, outcome: 'failed', error: 'reauthorization_required' }, {})).toBe(
    `grantry connect acme zoho_crm${option}`,
  );
  expect(adoptDetail({ ...about, outcome: 'set_aside' }, {})).toBe(
    `mend the cause, then grantry recover acme zoho_crm${option}`,
  );
  expect(onboardCommand(about)).toBe(`grantry onboard acme --provider zoho_crm${option}`);
  expect(onboardCommand({ ...about, provider: 'zoho' })).toBe(`grantry onboard acme${option}`);
  await using bench = await makeBench({ profiles: ['zoho'] });
  const { vault } = await bench.open();
  expect(await noGrant(vault, about)).toMatchObject({
    action: `Connect the tenant: grantry connect acme zoho_crm${option}`,
  });
  const lines: string[] = [];
  const client = { ...about, result: 'imported', namesOrganization: true, grant: null } as const;
  const output = { json: false, print: () => {}, printJson: () => {}, note: (line: string) => void lines.push(line) };
  noteNextSteps(output, [{ ...client, next: ['consent', 'scopes'] }], { dryRun: false });
  expect(lines[1]).toMatch(`: grantry connect acme zoho_crm${option}`);
  expect(lines[2]).toMatch(`grantry show acme zoho_crm${option}`);
});
