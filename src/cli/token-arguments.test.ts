import { Command } from 'commander';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { define } from './commands/token.ts';
import { recogniseToken } from './token-arguments.ts';

/** The result of the full parser for the same words; null where it fails. */
function fullyParsed(words: readonly string[]) {
  const command = new Command('token');
  define(command);
  for (const flag of ['--home <x>', '--database <x>', '--root-key <x>', '--tenant <x>', '--log-level <x>', '--json']) {
    command.option(flag);
  }
  command.exitOverride().configureOutput({ writeOut: () => {}, writeErr: () => {} });
  command.action(() => {});
  try {
    command.parse(words.slice(1), { from: 'user' });
  } catch {
    return null;
  }
  const { json = false, account, rejected, anyway, minValidity, ...flags } = command.opts();
  const [tenant, provider] = command.processedArgs;
  return { tenant, provider, account, rejected, anyway, minValidity, flags: { ...flags, json } };
}

const word = fc.constantFrom(
  'acme',
  'zoho_crm',
  '.',
  '60',
  '-t',
  '--min-validity',
  '--account',
  '--rejected',
  '--anyway',
  '--home',
  '/x',
  '--json',
  '--help',
  '--',
  '-x',
  '--home=/y',
  '-t60',
  '--database',
  '--tenant',
  '',
  '-',
);

test('the full parser gives the same result for each command line that the quick one accepts', () => {
  let recognised = 0;
  fc.assert(
    fc.property(fc.array(word, { maxLength: 7 }), (rest) => {
      const words = ['token', ...rest];
      const quick = recogniseToken(words);
      if (quick === null) return;
      recognised += 1;
      expect({ ...quick, minValidity: quick.minValidity ?? '60' }).toEqual(fullyParsed(words));
    }),
    { numRuns: 5_000 },
  );
  expect(recognised).toBeGreaterThan(20);
});

test('the forms that scripts use are recognised', () => {
  expect(recogniseToken(['token', 'acme', 'zoho_crm', '-t', '600', '--json'])).toEqual({
    tenant: 'acme',
    provider: 'zoho_crm',
    account: undefined,
    minValidity: '600',
    rejected: undefined,
    flags: { json: true },
  });
});

test.each([
  [['list']],
  [['token', 'acme']],
  [['token', 'acme', 'x', 'y']],
  [['token', '--constructor', 'x', 'a', 'b']],
])('%j is left to the full parser', (words) => {
  expect(recogniseToken(words)).toBeNull();
});
