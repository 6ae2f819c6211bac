import type { ProviderDefinitionInput } from '../../src/index.ts';

/**
 * Messages between the processes of the lab. All start together from one source tree, so the receiver does not check
 * them.
 */

/** Settings of the provider. */
export interface ProviderPlan {
  readonly profile: string;
  readonly accessTokenSeconds: number;
  /** The overlap after scaling. */
  readonly overlapSeconds: number;
  readonly delayMs: readonly [number, number];
  readonly seed: number;
}

export type ProviderCommand =
  | { readonly ask: 'start'; readonly plan: ProviderPlan }
  | { readonly ask: 'mint'; readonly count: number }
  /** Makes all later answers immediate. */
  | { readonly ask: 'calm' }
  | { readonly ask: 'judge' };

export interface ProviderStarted {
  readonly definition: ProviderDefinitionInput;
  readonly origin: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

export interface Minted {
  readonly family: string;
  readonly refreshToken: string;
  readonly accessToken: string;
}

/** The provider's facts about a grant. Tokens appear as fingerprints. */
export interface FamilyFacts {
  readonly family: string;
  /** The newest refresh token that would be accepted now. */
  readonly alive: string | null;
  readonly requests: number;
  /** Number of requests that spent an already spent token. */
  readonly replays: number;
  /** The largest number of requests with one refresh token. */
  readonly worst: number;
  readonly lastRequestAt: number;
  /** The newest answer with tokens: the spent token and the new refresh token. */
  readonly lastIssued: { readonly at: number; readonly token: string; readonly successor: string | null } | null;
}

export interface ProviderJudgement {
  readonly families: readonly FamilyFacts[];
  readonly tokenRequests: number;
  readonly replays: number;
}

/** Settings of a worker's vault. */
export interface WorkerPlan {
  readonly database: string;
  readonly rootKey: string;
  readonly home: string;
  /** Host name that the process believes to run on; defaults to its real one. */
  readonly host?: string | undefined;
  readonly scale: number;
  /** Loads everything that a request needs before the process reports that it is open. */
  readonly warm?: boolean | undefined;
  readonly definition: ProviderDefinitionInput;
  readonly origin: string;
  /** Log of requests and answers as they cross the wire. */
  readonly wireLog: string;
  readonly tasks: number;
  readonly seed: number;
}

export interface StoreGrant {
  readonly tenant: string;
  readonly refreshToken: string;
  /** The access token; without one the first caller has to refresh. */
  readonly accessToken?: string | undefined;
}

export type WorkerCommand =
  | { readonly ask: 'open'; readonly plan: WorkerPlan }
  | { readonly ask: 'app'; readonly clientId: string; readonly clientSecret: string }
  | { readonly ask: 'store'; readonly grants: readonly StoreGrant[] }
  /** Works until the process ends; sent again with a longer list when grants are added. */
  | { readonly ask: 'work'; readonly tenants: readonly string[] }
  /** Waits for the next generation of these grants. */
  | { readonly ask: 'want'; readonly grants: readonly { readonly tenant: string; readonly generation: number }[] }
  /** Refreshes each of these grants until its outcome is known. */
  | { readonly ask: 'heal'; readonly tenants: readonly string[]; readonly patienceMs: number }
  /** Starts this many callers at once, at a moment of the wall clock. */
  | { readonly ask: 'call'; readonly tenant: string; readonly callers: number; readonly at: number }
  | { readonly ask: 'close' };

/** Results of one process's callers, and how long each waited. */
export interface Called {
  readonly waitsMs: readonly number[];
  readonly generations: readonly number[];
  /** Codes of the errors that callers got. */
  readonly errors: readonly string[];
}

/** Outcome of a grant after all faults have ended. */
export interface Healed {
  readonly tenant: string;
  readonly outcome: 'alive' | 'reauthorization_required' | 'stuck';
  readonly reason: string | null;
}
