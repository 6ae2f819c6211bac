import type { App } from './app.ts';
import { toJson } from './json.ts';

/** Writes an app in the form of its schema. A server names the redirect URI of an app that has none of its own. */
export function appToJson({ callbackId: _callbackId, ...app }: App, redirectUri: string | null = app.redirectUri) {
  return { ...toJson(app), redirect_uri: redirectUri };
}
