import type { Edit } from '../source-edits.ts';
import type { StepName } from './steps.ts';

/** One guard taken out of the source, as it is loaded; the files stay as they are. */
export interface Guard {
  readonly name: string;
  /** The guard, in a few words. */
  readonly guard: string;
  /** The tables that the attacker prefers: other rows show the lack later. */
  readonly tables: readonly string[];
  /** The steps that need the guard, which the callers take more often. */
  readonly steps?: readonly StepName[];
  readonly edits: readonly Edit[];
}

/** Takes any MAC of one table for right. */
function unchecked(table: string): readonly Edit[] {
  const whole = 'if (mac !== null && current.verify(canonicalRow(table, row), mac)) return true;';
  return [
    {
      file: '/src/storage/row-seal.ts',
      from: whole,
      to: `if (table === '${table}') return true;\n      ${whole}`,
    },
  ];
}

/** Each of them taken out must let a token, a secret or a key be used at the wrong place. */
export const guards: readonly Guard[] = [
  {
    name: 'token-facts',
    guard: 'the seal of a token binds provider, account, app and place',
    tables: ['oauth_tokens'],
    edits: [
      {
        file: '/src/crypto/pinned-tenant.ts',
        from: 'return [this.#vaultId, this.tenant, table, row, column, String(generation), ...facts];',
        to: 'return [this.#vaultId, this.tenant, table, row, column, String(generation), ...facts.slice(0, 0)];',
      },
    ],
  },
  {
    name: 'format-1',
    guard: 'a token sealed by 0.1.0, which binds no facts, is not opened',
    tables: ['oauth_tokens'],
    edits: [
      {
        file: '/src/crypto/pinned-tenant.ts',
        from: 'const facts = this.#acceptsFormat1 && isFormat1(sealed) ? undefined : place.facts;',
        to: 'const facts = isFormat1(sealed) ? undefined : place.facts;',
      },
    ],
  },
  {
    name: 'providers-mac',
    guard: 'the MAC of a definition is checked',
    tables: ['grantry_providers'],
    edits: unchecked('grantry_providers'),
  },
  {
    name: 'apps-mac',
    guard: 'the MAC of an app is checked',
    tables: ['grantry_apps'],
    edits: unchecked('grantry_apps'),
  },
  {
    name: 'keys-mac',
    guard: 'the MAC of an API key is checked',
    tables: ['grantry_api_keys'],
    edits: unchecked('grantry_api_keys'),
  },
  {
    name: 'sessions-mac',
    guard: 'the MAC of a connect session is checked',
    tables: ['grantry_connect_sessions'],
    steps: ['connect at the callback'],
    edits: unchecked('grantry_connect_sessions'),
  },
  {
    name: 'authorizations-mac',
    guard: 'the MAC of an authorization is checked',
    tables: ['grantry_authorizations'],
    steps: ['connect from a program'],
    edits: unchecked('grantry_authorizations'),
  },
];
