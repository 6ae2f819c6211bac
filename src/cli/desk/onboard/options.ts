import type { ConnectOptions } from '../../commands/connect.ts';

/** The provider of a client whose command names none. */
export const usualProvider = 'zoho';

/** The options of `grantry onboard`: those of `connect`, and those of a new app. */
export interface OnboardOptions extends Omit<ConnectOptions, 'org' | 'metadata' | 'addScope'> {
  provider: string;
  clientId?: string;
  clientSecretFile?: string[];
  redirectUri?: string;
  scopeReason?: string[];
}
