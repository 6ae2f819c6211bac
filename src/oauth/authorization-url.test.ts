import { describe, expect, it } from 'vitest';
import { Secret } from '../base/secret.ts';
import { builtInProvider } from '../providers/catalogue.ts';
import { type ProviderDefinitionInput, providerDefinition } from '../providers/definition.ts';
import { authorizationUrl } from './authorization-url.ts';
import type { OAuthClient } from './types.ts';

// RFC 7636 appendix B.
const codeVerifier = new Secret('dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk');
const request = { redirectUri: 'https://app.example/cb?x=1&y=2', state: 'state', codeVerifier, scopes: ['a.b', 'c d'] };

function clientFor(more: Partial<ProviderDefinitionInput> = {}): OAuthClient {
  const definition = providerDefinition.parse({
    id: 'example',
    endpoints: { authorization: 'https://as.example/auth?fixed=1', token: 'https://as.example/token' },
    api: { hosts: ['https://api.example'] },
    ...more,
  });
  return { definition, dc: null, clientId: 'client&id', clientSecret: new Secret('never-in-a-url') };
}

describe('the authorization URL', () => {
  it('C-01, C-02 asks for a code, with a challenge and never the verifier', () => {
    const url = new URL(authorizationUrl(clientFor(), request));
    expect(url.origin + url.pathname).toBe('https://as.example/auth');
    expect(Object.fromEntries(url.searchParams)).toEqual({
      fixed: '1',
      response_type: 'code',
      client_id: 'client&id',
      redirect_uri: request.redirectUri,
      state: 'state',
      scope: 'a.b c d',
      code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
      code_challenge_method: 'S256',
    });
    expect(url.href).not.toContain(codeVerifier.reveal());
    expect(url.href).not.toContain('never-in-a-url');
  });

  it("the definition's parameters cannot replace those of the protocol", () => {
    const authorizationParameters = {
      response_type: 'token',
      state: 'x',
      redirect_uri: 'https://evil.example',
      p: '1',
    };
    const url = new URL(authorizationUrl(clientFor({ authorizationParameters }), request));
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      response_type: 'code',
      state: 'state',
      redirect_uri: request.redirectUri,
      p: '1',
    });
  });

  it('Zoho: commas, offline, consent, the data centre of the app', () => {
    const definition = builtInProvider('zoho_crm');
    if (definition === null) throw new Error('no zoho_crm');
    const client = { ...clientFor(), definition, dc: 'ca' };
    const url = new URL(authorizationUrl(client, { ...request, scopes: ['ZohoCRM.a.READ', 'ZohoCRM.b.READ'] }));
    expect(url.origin + url.pathname).toBe('https://accounts.zohocloud.ca/oauth/v2/auth');
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      scope: 'ZohoCRM.a.READ,ZohoCRM.b.READ',
      access_type: 'offline',
      prompt: 'consent',
    });
  });

  it('C-02 goes without PKCE only where the definition says so', () => {
    const without = { ...request, codeVerifier: null };
    expect(() => authorizationUrl(clientFor(), without)).toThrow(expect.objectContaining({ code: 'internal' }));
    const off = clientFor({ pkce: 'off', pkceReason: 'the server refuses it' });
    expect(new URL(authorizationUrl(off, without)).searchParams.has('code_challenge')).toBe(false);
    // An app's own switch comes first, in both directions.
    const appOff = authorizationUrl(clientFor(), { ...without, pkce: 'off' });
    expect(new URL(appOff).searchParams.has('code_challenge')).toBe(false);
    expect(() => authorizationUrl(off, { ...without, pkce: 'S256' })).toThrow(
      expect.objectContaining({ code: 'internal' }),
    );
  });

  it('needs an endpoint', () => {
    const client = clientFor({ endpoints: { token: 'https://as.example/token' } });
    expect(() => authorizationUrl(client, request)).toThrow(
      expect.objectContaining({ code: 'provider_misconfigured' }),
    );
  });
});
