/** What a peer needs to know of the provider. */
export interface Endpoint {
  readonly origin: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

/** How a process keeps its grants with a peer. */
export interface PeerPlan {
  readonly peer: string;
  readonly database: string;
  readonly endpoint: Endpoint;
  readonly tasks: number;
}

export type PeerCommand =
  | { readonly ask: 'open'; readonly plan: PeerPlan }
  | { readonly ask: 'work' }
  /** One last refresh of each grant; the tenants whose grants are lost. */
  | { readonly ask: 'heal' };

/** The libraries that are put in Grantry's place. */
export const lossPeerNames = ['naive-lock', 'simple-oauth2', '@atproto/oauth-client', 'better-auth'] as const;
export type LossPeerName = (typeof lossPeerNames)[number];
