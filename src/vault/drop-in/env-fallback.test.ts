import { afterEach, describe, expect, it } from 'vitest';
import { scratchDatabase, scratchSqlite } from '../../../test/support/postgres.ts';
import { code, good, provider, Stage } from '../../../test/support/service-stage.ts';
import { OAuthTokenService } from './token-service.ts';

afterEach(() => {
  delete process.env['ZOHO_REFRESH_TOKEN'];
  delete process.env['ZOHO_DC'];
  delete process.env['ACME_TOKEN'];
});

const kinds = { sqlite: async () => scratchSqlite(), postgres: scratchDatabase };

describe.each(Object.entries(kinds))(
  'the fallback of the token service to the environment, on %s',
  (_kind, scratch) => {
    const setTheStage = async () => new Stage(await scratch());

    it('imports the environment’s refresh token once, and only for one tenant and provider', async () => {
      await using stage = await setTheStage();
      const opened = await Promise.all([stage.open(), stage.open()]);
      const services = opened.map(
        ({ vault }) => new OAuthTokenService(vault, { fallback: { tenant: 'acme', provider } }),
      );
      const [service] = services;
      if (service === undefined) throw new Error('no service');
      process.env['ZOHO_REFRESH_TOKEN'] = `${stage.mint('au').refreshToken}\n`;
      process.env['ZOHO_DC'] = 'com.au';
      expect(await code(service.getAccessToken('umbrella', provider, good))).toBe('grant_not_found');
      expect(await code(service.getAccessToken('acme', 'zoho_books', good))).toBe('grant_not_found');
      expect(await code(service.getAccessToken('ACME', provider, good))).toBe('grant_not_found');
      const tokens = await Promise.all(
        services.flatMap((each) => [1, 2, 3].map(() => each.getAccessToken('acme', provider, good))),
      );
      expect(new Set(tokens).size).toBe(1);
      expect(stage.events.filter((event) => event.type === 'grant.stored')).toHaveLength(1);
      expect(stage.requests()).toBe(1);
      expect(await service.getTokenRecord('acme', provider)).toMatchObject({ metadata: { dc: 'au' } });

      await service.deleteToken('acme', provider, { revoke: false });
      for (const each of services) {
        expect(await code(each.getAccessToken('acme', provider, good))).toBe('grant_not_found');
      }
    });

    it('imports one token for each pair of a list, and names the option for any other pair', async () => {
      await using stage = await setTheStage();
      const { vault } = await stage.open();
      const both = [
        { tenant: 'acme', provider },
        { tenant: 'acme', provider: 'zoho_calendar' },
      ];
      const service = new OAuthTokenService(vault, { fallback: both });
      process.env['ZOHO_REFRESH_TOKEN'] = stage.mint().refreshToken;
      for (const pair of both) expect(await code(service.getAccessToken('acme', pair.provider, good))).toBe('none');
      await expect(service.getAccessToken('acme', 'zoho_books', good)).rejects.toMatchObject({
        code: 'grant_not_found',
        action: expect.stringContaining("add { tenant: 'acme', provider: 'zoho_books' } to fallback"),
      });
      const unbound = new OAuthTokenService(vault);
      await expect(unbound.getAccessToken('umbrella', provider, good)).rejects.toMatchObject({
        action: expect.stringContaining('ZOHO_REFRESH_TOKEN is set, and the option fallback does not bind it'),
      });
    });

    it('imports nothing from an environment without a usable token', async () => {
      await using stage = await setTheStage();
      const { vault } = await stage.open();
      const service = new OAuthTokenService(vault, { fallback: { tenant: 'acme', provider, variable: 'ACME_TOKEN' } });
      process.env['ZOHO_REFRESH_TOKEN'] = stage.mint().refreshToken;
      expect(await code(service.getAccessToken('acme', provider, good))).toBe('grant_not_found');
      process.env['ACME_TOKEN'] = 'two words';
      expect(await code(service.getAccessToken('acme', provider, good))).toBe('invalid_request');
      process.env['ACME_TOKEN'] = stage.mint().refreshToken;
      process.env['ZOHO_DC'] = 'mars';
      expect(await code(service.getAccessToken('acme', provider, good))).toBe('invalid_request');
      expect((await vault.grants.list()).items).toEqual([]);
      expect(await vault.apps.list()).toEqual([]);
      delete process.env['ZOHO_DC'];
      expect(await code(service.getAccessToken('acme', provider, good))).toBe('none');
      expect(await service.getTokenRecord('acme', provider)).toMatchObject({ metadata: { dc: 'us' } });
    });
  },
);
