import type { LossPeerName } from './messages.ts';
import type { LossPeer } from './peer.ts';

/** Loads each peer separately: a process of one peer does not load the others. */
export const lossPeers: Readonly<Record<LossPeerName, () => Promise<LossPeer>>> = {
  'naive-lock': async () => (await import('./naive-lock.ts')).naiveLock,
  'simple-oauth2': async () => (await import('./simple-oauth2.ts')).simpleOauth2,
  '@atproto/oauth-client': async () => (await import('./atproto.ts')).atprotoPeer,
  'better-auth': async () => (await import('./better-auth.ts')).betterAuthPeer,
};
