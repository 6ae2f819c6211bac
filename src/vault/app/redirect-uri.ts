/** The redirect URI of an app at a server. It is fixed per app, so that no answer reaches the flow of another app. */
export function callbackUri(publicUrl: string, app: { readonly context: string }): string {
  return `${publicUrl}/oauth/callback/${app.context}`;
}

/** The redirect URI of an app: its own, else the one at the public URL. */
export function redirectUriOf(
  publicUrl: string,
  app: { readonly context: string; readonly redirectUri: string | null },
): string {
  return app.redirectUri ?? callbackUri(publicUrl, app);
}
