/** A peer's facts about the provider. */
export interface Endpoint {
  readonly origin: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

/** Settings of a process that keeps its grants with a peer. */
export interface PeerPlan {
  readonly peer: string;
  readonly database: string;
  readonly endpoint: Endpoint;
  readonly tasks: number;
}

export type PeerCommand =
  | { readonly ask: 'open'; readonly plan: PeerPlan }
  | { readonly ask: 'work' }
  /** Refreshes each grant one last time; returns the tenants whose grants are lost. */
  | { readonly ask: 'heal' };

/** Libraries that take Grantry's place. */
export const lossPeerNames = ['naive-lock', 'simple-oauth2', '@atproto/oauth-client', 'better-auth'] as const;
export type LossPeerName = (typeof lossPeerNames)[number];
