import { redirectUriAt } from '../base/callback-uri.ts';
import type { App } from '../vault/types.ts';
import type { Settings } from './settings.ts';

/** Where the provider sends the browser back to for this app: its own redirect URI, else the one at the public URL. */
export function redirectUriOf(app: Pick<App, 'redirectUri' | 'callbackId'>, settings: Settings): string {
  return redirectUriAt(settings.publicUrl, app);
}
