import type { ProviderDefinitionInput } from '../../src/index.ts';

/** What the processes of the lab tell each other. They are started together from one tree, so nothing is checked twice. */

/** How the provider is to behave. */
export interface ProviderPlan {
  readonly profile: string;
  readonly accessTokenSeconds: number;
  /** What the world's scale makes of the overlap. */
  readonly overlapSeconds: number;
  readonly delayMs: readonly [number, number];
  readonly seed: number;
}

export type ProviderCommand =
  | { readonly ask: 'start'; readonly plan: ProviderPlan }
  | { readonly ask: 'mint'; readonly count: number }
  /** Answers come at once from here on. */
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

/** What the provider knows of a grant. Tokens appear by fingerprint. */
export interface FamilyFacts {
  readonly family: string;
  /** The newest refresh token that would be honoured now. */
  readonly alive: string | null;
  readonly requests: number;
  /** Requests that spent a token which was spent before. */
  readonly replays: number;
  /** The most requests that carried one refresh token. */
  readonly worst: number;
  readonly lastRequestAt: number;
  /** The newest answer with tokens: what it was given for, and its refresh token. */
  readonly lastIssued: { readonly at: number; readonly token: string; readonly successor: string | null } | null;
}

export interface ProviderJudgement {
  readonly families: readonly FamilyFacts[];
  readonly tokenRequests: number;
  readonly replays: number;
}

/** How a worker opens its vault. */
export interface WorkerPlan {
  readonly database: string;
  readonly rootKey: string;
  readonly home: string;
  /** The host that the process believes to run on; left out, its own. */
  readonly host?: string | undefined;
  readonly scale: number;
  /** Whether everything that a request needs is loaded before the process says that it is open. */
  readonly warm?: boolean | undefined;
  readonly definition: ProviderDefinitionInput;
  readonly origin: string;
  /** Where each request and each answer is noted as it goes over the wire. */
  readonly wireLog: string;
  readonly tasks: number;
  readonly seed: number;
}

export interface StoreGrant {
  readonly tenant: string;
  readonly refreshToken: string;
  /** Without one the first caller has to refresh. */
  readonly accessToken?: string | undefined;
}

export type WorkerCommand =
  | { readonly ask: 'open'; readonly plan: WorkerPlan }
  | { readonly ask: 'app'; readonly clientId: string; readonly clientSecret: string }
  | { readonly ask: 'store'; readonly grants: readonly StoreGrant[] }
  /** Goes on until the process ends; said again with a longer list when there are more. */
  | { readonly ask: 'work'; readonly tenants: readonly string[] }
  /** Waits for the next generation of these. */
  | { readonly ask: 'want'; readonly grants: readonly { readonly tenant: string; readonly generation: number }[] }
  /** Refreshes every one of these until it is known what became of it. */
  | { readonly ask: 'heal'; readonly tenants: readonly string[]; readonly patienceMs: number }
  /** So many callers at once, from that moment of the wall clock on. */
  | { readonly ask: 'call'; readonly tenant: string; readonly callers: number; readonly at: number }
  | { readonly ask: 'close' };

/** What the callers of one process were given, and how long each waited. */
export interface Called {
  readonly waitsMs: readonly number[];
  readonly generations: readonly number[];
  /** Codes of the errors that some were given instead. */
  readonly errors: readonly string[];
}

/** What became of a grant once all faults had ended. */
export interface Healed {
  readonly tenant: string;
  readonly outcome: 'alive' | 'reauthorization_required' | 'stuck';
  readonly reason: string | null;
}
