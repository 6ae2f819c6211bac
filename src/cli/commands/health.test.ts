import { expect, it } from 'vitest';
import { healthDetail } from './health.ts';

it('says what is wrong with a grant, and what to do about it', () => {
  const about = { tenant: 'acme', provider: 'zoho_crm', account: 'default', dc: 'eu', actionRequired: true };
  const detail = healthDetail({
    status: 'unhealthy',
    ...about,
    error: 'provider_misconfigured',
    message: 'The provider refuses this app (invalid_client, status 401).',
    action: 'Check the app.',
  });
  expect(detail).toBe(
    'provider_misconfigured: The provider refuses this app (invalid_client, status 401). Check the app.',
  );
});
