import { lintSource } from '@secretlint/core';
import { describe, expect, test } from 'vitest';
import { scrub } from '../base/scrub.ts';
import { type TokenForm, tokenForms } from '../base/token-forms.ts';
import { findLeaks } from './find.ts';
import { gitleaksConfig } from './gitleaks.ts';
import { leakRules } from './rules.ts';
import { creator } from './secretlint-rule.ts';

/** Puts an example together at run time: a scan of this repository must not find it. */
const of = (...parts: readonly string[]): string => parts.join('');
const hex = '0123456789abcdef';
const letters = 'Zk3vQ9xT7bLm2Wc5';
const uuid = '3f2a9c1e-77b0-4d1a-9a51-0c2d3e4f5a6b';
/** 32 bytes in base64, with a last character that has two zero bits. */
const rootKey = of('q83vEjRWeJq83vEjRWeJq83vEjRWeJq83v', 'EjRWeJq8A');

interface Example {
  readonly found: readonly string[];
  readonly passed: readonly string[];
}

const examples: Readonly<Record<string, Example>> = {
  json_web_token: {
    found: [of('eyJ', 'hbGciOiJI', '.eyJzdWIiOiIx.c2ln')],
    passed: ['eyJhbGci.x', 'theyJhbGciOiJI.eyJzdWIiOiIx'],
  },
  zoho_token: {
    found: [of('1000.', hex, hex, '.', hex, hex)],
    passed: [of('1000.', hex, '.', hex, hex), of('1000.', hex.toUpperCase(), hex, '.', hex, hex), '1000.FAKE.TOKEN'],
  },
  grantry_api_key: { found: [of('gry_', letters, letters)], passed: ['gry_…', 'gry_own', of('my', 'gry_', letters)] },
  grantry_sealed_value: {
    found: [of('gry1', '.R1JZAQ', letters, letters, letters)],
    passed: ['gry1.%', 'gry1.new'],
  },
  webhook_secret: { found: [of('whsec_', letters, letters, '==')], passed: ['whsec_…', 'whsec_short'] },
  github_token: {
    found: [
      ...['gho', 'ghp', 'ghr', 'ghs', 'ghu'].map((kind) => of(kind, '_', letters, letters)),
      of('github_pat_', letters, letters, letters),
    ],
    passed: ['gho_', of('ghx_', letters, letters), 'github_pat_short'],
  },
  google_access_token: { found: [of('ya29', '.a0', letters, letters)], passed: ['ya29.short', 'ya29'] },
  google_refresh_token: { found: [of('1/', '/0', letters, letters)], passed: ['1//0', of('1/', '/9', letters)] },
  google_client_secret: { found: [of('GOCSPX', '-', letters, letters)], passed: ['GOCSPX-', 'gocspx'] },
  slack_token: {
    found: [
      of('xox', 'b-12345-', letters),
      of('xox', 'p-12345-', letters),
      of('xox', 'e.xox', 'p-1-', letters),
      of('xapp', '-1-', letters),
    ],
    passed: ['xoxb-', 'xox-b-1234567890', 'xapp-token'],
  },
  hubspot_token: {
    found: [of('na1', '-', uuid), of('pat-', 'eu1', '-', uuid), of('EU1', '-', uuid.toUpperCase())],
    passed: [uuid, of('xx1-', uuid)],
  },
  microsoft_refresh_token: {
    found: [of('0', '.A', letters.repeat(8)), of('M', '.C5_BAY.0.U.-', letters.repeat(5))],
    passed: ['0.AXoA', 'M.C5_BAY.short', of('10', '.A', letters)],
  },
  microsoft_client_secret: { found: [of('aB3', '8Q', '~', letters, letters, 'x')], passed: ['8Q~', 'aB38Q~short'] },
  salesforce_token: {
    found: [of('00D', '5g000004abcd', '!', letters.repeat(5)), of('5Aep', '861', letters.repeat(4))],
    passed: ['00D5g000004abcd', '00D5g000004abcd!short', '5Aep861'],
  },
  quickbooks_refresh_token: {
    found: [of('AB11', '1234567890', letters, letters), of('RT1', '-12-H0-', '1234567890', letters, letters)],
    passed: ['AB11', 'AB11123', 'RT1-12-H0-1'],
  },
  zoho_client_secret: {
    found: [of('id: 1000', '.', 'A1B2C3'.repeat(5), '\nkey: ', hex, hex, 'abcdef01')],
    passed: [of('id: 1000', '.', 'A1B2C3'.repeat(5)), of('key: ', hex, hex, 'abcdef01')],
  },
  zoho_client_secret_first: {
    found: [of('key: ', hex, hex, 'abcdef01', '\nid: 1000', '.', 'A1B2C3'.repeat(5))],
    passed: [of('key: ', hex, hex, 'abcdef01', ' '.repeat(300), '1000', '.', 'A1B2C3'.repeat(5))],
  },
  grantry_root_key: {
    found: [`GRANTRY_ROOT_KEY=${rootKey}=`, `{"rootKey": "${rootKey}"}`],
    passed: ['GRANTRY_ROOT_KEY=env:ROOT', 'rootKey: file:./root.key', `other = ${rootKey}=`],
  },
  grantry_root_key_file: { found: [`${rootKey}=\n`, rootKey], passed: [`sha ${rootKey}=\n`, `${rootKey}=\nmore\n`] },
  named_secret: {
    found: [
      of('XERO_CLIENT_', `SECRET=${letters}${letters}\n`),
      of('{"refresh_', `token": "${letters}${letters}"}`),
      of("refreshToken: '", letters, letters, "',"),
    ],
    passed: [
      'refresh_token: row.refresh_token_of_the_grant_1234567890',
      of('client_', 'secret=', '1'.repeat(40)),
      'const accessToken = await vault.getAccessToken(key);',
      of('client_', `secret="\${{ secrets.NAME_OF_A_SECRET_2345 }}"`),
    ],
  },
};

const idsIn = (text: string): string[] => findLeaks(text).map(({ rule }) => rule.id);

test('every rule has examples', () => {
  expect(Object.keys(examples)).toEqual(leakRules.map(({ id }) => id));
});

describe.each(Object.entries(examples))('%s', (id, { found, passed }) => {
  test.each(found)('is found: example %#', (text) => expect(idsIn(text)).toContain(id));
  test.each(passed)('is not found in %j', (text) => expect(idsIn(text)).not.toContain(id));
});

test('a finding is the secret, without its surroundings', () => {
  const text = `a GRANTRY_ROOT_KEY=${rootKey}= b`;
  expect(findLeaks(text).map(({ start, end }) => text.slice(start, end))).toEqual([`${rootKey}=`]);
});

test('a secret that two rules find is one finding', () => {
  expect(idsIn(of('{"access_token": "gho_', letters, letters, '"}'))).toEqual(['github_token']);
});

// The names of the record are those of the forms.
test.each(Object.keys(tokenForms) as TokenForm[])('the scrubber hides every example of %s', (form) => {
  for (const text of examples[form]?.found ?? []) expect(scrub(`x ${text}`).line).toBe('x [scrubbed]');
});

test.each(['1000.', 'eyJabcdefgh-', 'secret=a1', 'gry_', 'AB11', `${hex} `, 'M.C5_x.', '5Aep861.'])(
  'a text of 100,000 characters made of %j is read in a moment',
  (piece) => {
    const before = performance.now();
    findLeaks(piece.repeat(100_000 / piece.length));
    expect(performance.now() - before).toBeLessThan(5_000);
  },
);

describe('gitleaks.toml', () => {
  const text = gitleaksConfig();
  const patterns = [...text.matchAll(/^regex = '''(.*)'''$/gm)].map((match) => match[1] ?? '');

  test('is the file of the package', async () => {
    await expect(text).toMatchFileSnapshot('../../gitleaks.toml');
  });

  test('has each rule, in lines that TOML knows', () => {
    expect(patterns.length).toBe(leakRules.length);
    for (const line of text.split('\n')) {
      expect(line).toMatch(
        /^(?:|#.*|\[extend\]|\[\[rules\]\]|\w+ = (?:true|[\d.]+|"[^"\\]*"|'''(?:(?!''').)*'''|\["[^"\\]+"(?:, "[^"\\]+")*\]))$/,
      );
    }
  });

  test('has expressions that RE2 takes: no look-around, no back-reference, no bound above 1,000', () => {
    for (const pattern of patterns) {
      expect(pattern).not.toMatch(/\(\?<?[=!]|\\[1-9]|\\k<|\[\^?\]|\(\?<\w|\\\//);
      for (const [, bound] of pattern.matchAll(/\{(?:\d+,)?(\d+)\}/g)) expect(Number(bound)).toBeLessThanOrEqual(1_000);
    }
  });

  test('finds what the rules find', () => {
    for (const [index, rule] of leakRules.entries()) {
      const [, ignoreCase = '', source = ''] = /^(\(\?i\))?(.*)$/.exec(patterns[index] ?? '') ?? [];
      const expression = new RegExp(source, ignoreCase === '' ? '' : 'i');
      for (const example of examples[rule.id]?.found ?? []) {
        expect(example, rule.id).toMatch(expression);
        const words = rule.keywords;
        expect(words.length === 0 || words.some((word) => example.toLowerCase().includes(word)), rule.id).toBe(true);
      }
    }
  });
});

test('secretlint takes the rule, and its message does not have the secret', async () => {
  const content = of('token: 1000.', hex, hex, '.', hex, hex);
  const result = await lintSource({
    source: { content, filePath: 'a.txt', ext: '.txt', contentType: 'text' },
    options: { config: { rules: [{ id: creator.meta.id, rule: creator }] } },
  });
  expect(result.messages).toMatchObject([
    { ruleId: 'grantry/secretlint', messageId: 'zoho_token', message: 'found a token of Zoho', range: [7, 77] },
  ]);
  expect(JSON.stringify(result.messages)).not.toContain(hex);
});
