import { describe, expect, it } from 'vitest';
import type { ProviderDefinition } from '../providers/definition.ts';
import { parseProviderDefinition } from '../providers/parse.ts';
import { capture } from './captured.ts';
import { toMembers } from './json.ts';

const definition: ProviderDefinition = parseProviderDefinition({
  id: 'example',
  endpoints: { token: 'https://as.example.com/token' },
  api: { hosts: ['https://api.example.com'] },
});

const tokens = {
  access_token: 'an-access-token',
  refresh_token: 'a-refresh-token',
  id_token: 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.',
  authed_user: { access_token: 'a-token-inside' },
};

const members = (value: object) => toMembers({ ...tokens, ...value }) ?? new Map<string, unknown>();

describe('a captured member', () => {
  it.each([
    ['is an access token', 'an-access-token'],
    ['is a refresh token', 'a-refresh-token'],
    ['holds a refresh token', '{"all":"a-refresh-token"}'],
    ['holds a token of a member inside', 'x a-token-inside x'],
    ['holds an id token', `sub ${tokens.id_token}`],
    ['has the form of a token of another answer', `1000.${'a'.repeat(32)}.${'b'.repeat(32)}`],
    ['has the form of a JSON Web Token', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln'],
  ])('that %s is dropped, and named without its value', (_name, value) => {
    const { metadata, notes } = capture(
      definition,
      { company: 'company', org: 'org_id' },
      members({ company: value, org: 7 }),
    );
    expect(metadata).toEqual({ org_id: '7' });
    expect(notes).toEqual(['company is a secret, or holds one']);
  });

  it('whose name, there or here, is that of a secret is dropped, whatever a definition says', () => {
    const names = { refresh_token: 'label', plan: 'client_secret', code: 'x', name: 'name' };
    const captured = capture(definition, names, members({ plan: 'gold', code: 'abc', name: 'Acme' }));
    expect(captured.metadata).toEqual({ name: 'Acme' });
    expect(captured.notes.length).toBe(3);
  });

  it('that holds a token of the object around it is dropped', () => {
    const inside = new Map([['company', 'a-refresh-token']]);
    expect(capture(definition, { company: 'company' }, inside, [tokens]).metadata).toEqual({});
  });
});
