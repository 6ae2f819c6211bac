/** The address on a server to which a provider sends the browser back: one per app, so that no answer reaches another's flow. */
export function callbackUri(publicUrl: string, callbackId: string): string {
  return `${publicUrl}/oauth/callback/${callbackId}`;
}

/** The redirect URI of an app: its own, else the one at a server's public URL. */
export function redirectUriAt(
  publicUrl: string,
  app: { readonly redirectUri: string | null; readonly callbackId: string | null },
): string {
  return app.redirectUri ?? callbackUri(publicUrl, app.callbackId ?? '');
}
