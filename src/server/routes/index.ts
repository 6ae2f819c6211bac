import type { Route } from '../route.ts';
import { tokenRoutes } from '../tokens/routes.ts';
import { appRoutes } from './apps.ts';
import { auditRoutes } from './audit.ts';
import { connectSessionRoutes } from './connect-sessions.ts';
import { grantRoutes } from './grants.ts';
import { importRoutes } from './import.ts';
import { keyRoutes } from './keys.ts';
import { providerRoutes } from './providers.ts';

/** Every route that takes an API key and is described, in the order of the description. */
export const routes: readonly Route[] = [
  ...tokenRoutes,
  ...grantRoutes,
  ...importRoutes,
  ...connectSessionRoutes,
  ...appRoutes,
  ...providerRoutes,
  ...keyRoutes,
  ...auditRoutes,
];
