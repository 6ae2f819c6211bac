import { assert } from './errors.ts';

// The rule: every time of the vault's protocol (a lease, a wait, a pause, the life of a cached answer) and every limit of
// input stands here. A size that only one file uses and no caller can meet stays in that file.

/**
 * Times of the protocol, in milliseconds. They depend on each other (see {@link assertTimingRule}), so a test scales all
 * of them together through {@link World.timeScale}.
 */
const baseTimes = {
  /** Connecting and writing the request. */
  connectMs: 10_000,
  /** The longest deadline D: from the point of no return until the provider's answer is complete. */
  answerDeadlineMs: 90_000,
  /** Clock and scheduling error that every comparison between two processes allows for. */
  marginMs: 10_000,
  /** The lease where a replay ends the grant: it outlives the deadline and is never renewed. */
  strictLeaseMs: 120_000,
  /** The lease where a replay is harmless or needed quickly. */
  renewedLeaseMs: 4_000,
  leaseRenewalMs: 1_000,
  /** An overlap shorter than this leaves no room for a second try: such providers get the strict lease. */
  quickOverlapMinMs: 15_000,
  /** The part of an overlap that stays free for a replay when an answer does not come; a short overlap leaves half. */
  replayRoomMs: 15_000,
  /** The longest time that a caller waits. */
  callerWaitMs: 30_000,
  /** A first refusal is confirmed after this long. */
  suspectConfirmMs: 30_000,
  /** A waiter gives an unseen holder of a strict lease this long: most answers come within it. */
  unseenHolderMs: 10_000,
  waiterPollMinMs: 20,
  waiterPollMaxMs: 100,
  /** The interval at which the changes of other processes are read. */
  feedSqliteMs: 500,
  feedPostgresMs: 2_000,
  /** The token cache is trusted for this long after the last read of the changes. */
  feedTrustMs: 4_000,
  /** Each read of the changes goes back this far, for transactions that ended late. */
  feedOverlapMs: 10_000,
  /** Tokens are handed out from memory for this long while the database is down. */
  staleHandOutMs: 300_000,
  /** A spool file is kept this long after its commit, since a failover may lose the last commits. */
  spoolKeptMs: 600_000,
  /** An unwrapped tenant key is used this long before the store is asked again. */
  tenantKeyCachedMs: 600_000,
  /** A transaction gives up after this long while the database is busy. */
  storageBusyMs: 10_000,
  /** A take-over waits this long for another take-over of the same table. */
  takeOverWaitMs: 600_000,
  /** It waits this long for other users of the database, then leaves the scrubbing to the next start. */
  scrubWaitMs: 60_000,
  /** Authorization request until callback. */
  authorizationMs: 600_000,
  /** The call that asks which organisation a token is for. A connect waits for it. */
  organizationReadMs: 5_000,
  /** A connect link until its button is pressed. */
  connectLinkMs: 1_800_000,
  /** Tokens of a connect session are kept this long for the completion code. */
  connectCompletionMs: 600_000,
  /** The result of a connect session can be read for this long after its end. */
  connectKeptMs: 86_400_000,
  /** A token obtained this recently satisfies any minimum validity. */
  justRefreshedMs: 60_000,
  /** A provider that issued expired tokens for a grant is asked again after this long. */
  issuedExpiredMs: 60_000,
  /** The first pause of a circuit breaker, and the longest one: a provider that fails is probed while a caller waits. */
  breakerPauseMs: 2_000,
  breakerPauseMsMax: 5_000,
  /** A provider that served a grant this recently is well, so another grant's failures are its own. */
  servedLatelyMs: 60_000,
  /** When a provider is well again, its grants follow the first one within this time, and at this distance. */
  releaseSpreadMs: 5_000,
  releaseGapMs: 50,
  /** No grant of a provider is given up for this long after the provider refused too many. */
  verdictWindowMs: 300_000,
  /** A grant that is suspect for longer than this is judged all the same. */
  verdictSuspendedMsMax: 3_600_000,
  /** If an API rejects a token this soon after a refresh for a rejection, the token is not the cause. */
  uselessRefreshMs: 600_000,
  /** A grant that was given up is retried after this long, after six times and after 144 times as long. */
  secondChanceMs: 600_000,
  /** The tokens of a grant that was given up are kept this long. */
  condemnedKeptMs: 2_592_000_000,
  /** The pause of workers when nothing is due. */
  workerPauseMs: 5_000,
  /** The time for which a worker claims a grant. */
  workerHoldMs: 120_000,
  /** The same for an uncertain grant, whose overlap may run out if that worker dies. */
  doubtHoldMs: 10_000,
  /** A grant is in use for this long after its last hand-out. */
  inUseMs: 86_400_000,
  /** The interval at which hand-outs are recorded. */
  usageNoteMs: 60_000,
  /** The pause before a retry of a request that failed without harm. */
  retryBackOffMs: 2_000,
  /** Jitter included, no back-off of ours is longer. */
  retryBackOffMsMax: 80_000,
  /** The first pause and the longest one before tokens are offered again to a database that is down. */
  commitPauseMs: 100,
  commitPauseMsMax: 5_000,
  /** The first pause and the longest one between two tries to revoke a token. */
  revocationPauseMs: 60_000,
  revocationPauseMsMax: 21_600_000,
  /** A token that could not be revoked for this long is shredded. */
  revocationLifeMs: 604_800_000,
  /** The time for which a process claims a revocation. */
  revocationHoldMs: 120_000,
  /** The identity of the database is read again, and the high-water mark written, at most this often. */
  guardRecheckMs: 2_000,
  /** A stored provider definition is used this long before the database is asked again. */
  providerCachedMs: 2_000,
  /** A definition this young does for a call to the API at once when the database does not answer. */
  providerKeptMs: 300_000,
  /** Metadata of an issuer that could not be read is asked for again after this long. */
  issuerRecheckMs: 60_000,
  /** Callers within this time of each other share one answer, and the deadline of the first. */
  sharedAnswerMs: 100,
  /** The pause of a take-over that waits for another process. */
  takeOverPauseMs: 250,
  /** The five-call service refreshes a token with less life than this before it hands it out, where it can. */
  serviceRefreshAheadMs: 300_000,
  /** Credentials that a provider refused are not tried again for this long. */
  refusedTrialMs: 300_000,
} as const;

export type Times = { readonly [name in keyof typeof baseTimes]: number };

/** Scales the table of times by a world's `timeScale`; 1 when absent. */
export function timesOf({ timeScale: scale = 1 }: { readonly timeScale?: number }): Times {
  if (scale === 1) return baseTimes;
  const scaled = Object.entries(baseTimes).map(([name, ms]) => [name, Math.max(1, Math.round(ms * scale))] as const);
  // Every name of the table is mapped, so the result has exactly its shape.
  return Object.fromEntries(scaled) as unknown as Times;
}

/**
 * Checks, when a vault opens, that no lease lapses while its holder may still be calling.
 *
 * Strict leases outlive the deadline plus margins; renewed ones are renewed four times in their life.
 */
export function assertTimingRule(times: Times): void {
  assert(
    times.answerDeadlineMs + times.marginMs < times.strictLeaseMs - times.marginMs,
    'the strict lease must outlive the answer deadline by more than twice the margin',
  );
  assert(times.leaseRenewalMs <= times.renewedLeaseMs / 4, 'a lease must be renewed four times in its life');
}

/** Sizes and counts. */
export const limits = {
  nameCharsMax: 128,
  providerIdCharsMax: 64,
  /** A token as it may arrive: Microsoft's and JWT-based ones run to several kilobytes. */
  tokenCharsMax: 16_384,
  clientIdCharsMax: 512,
  clientSecretCharsMax: 4_096,
  urlCharsMax: 2_048,
  /** So many characters of a provider's own words are shown. */
  shownCharsMax: 200,
  scopeCharsMax: 512,
  scopesMax: 256,
  /** A reason for a broad scope, for the people of a review. */
  scopeReasonCharsMax: 500,
  metadataBytesMax: 16_384,
  metadataKeysMax: 64,
  /** The answer of a token endpoint, after decompression. */
  answerBytesMax: 1_048_576,
  /** The part of an API's answer that is searched for a refusal of the token. */
  apiPeekBytesMax: 262_144,
  /** A provider definition, an env file, a metadata document. */
  documentBytesMax: 262_144,
  minValiditySecondsMax: 31_536_000,
  /** The validity of a token for callers that name none. */
  minValidityMsDefault: 60_000,
  /** The longest life of an access token; longer ones are cut to it. */
  accessTokenLifetimeMsMax: 31_536_000_000,
  /** The token cache: grants, and bytes of all together. */
  cacheEntriesMax: 100_000,
  cacheBytesMax: 48_000_000,
  /** The same in a program that runs one command and ends. */
  cacheEntriesOneShot: 1_000,
  /** Tenants whose unwrapped keys are held in memory. */
  tenantKeysMax: 5_000,
  /** The text of a root key; a key in base64 has 44 characters. */
  rootKeyTextBytesMax: 1_024,
  /** A command that prints the root key: cloud tools take seconds to start. */
  rootKeyCommandMs: 30_000,
  /** Changes that one read of the feed takes; beyond it the token cache is emptied. */
  feedRowsMax: 5_000,
  /** Grants whose use is recorded in one statement. */
  usageBatch: 200,
  /** The longest window of a provider's token limit; token requests are stored for as long. */
  tokenWindowSecondsMax: 86_400,
  /** Token requests that one statement deletes. */
  tokenRequestsPurged: 500,
  /** Tokens that are read to count those of one user, users of one registration, and apps of one registration. */
  slotRowsMax: 500,
  slotUsersMax: 50,
  slotAppsMax: 500,
  /** Queued revocations that are tried before a consent which needs their places, and the wait for them in milliseconds. */
  makeRoomTokensMax: 40,
  makeRoomMs: 5_000,
  /** The gauge of a queue counts up to this. */
  queueCountMax: 10_000,
  pageItemsMax: 500,
  /** Grants that are named as holders of one refresh token. */
  grantsNamedMax: 20,
  /** Presses of the button of one connect link. */
  connectStartsMax: 20,
  /** New tokens wait this long for a database that is down, with this pause between tries, in milliseconds. */
  connectKeepMs: 20_000,
  connectKeepPauseMs: 500,
  /** Authorization requests whose code was never sent, and that wait in memory for a database that is down. */
  unsentCodesMax: 1_000,
  /** Organisations of imported grants that are read at once, and that wait for it. */
  organizationReadsAtOnce: 4,
  organizationReadsWaitingMax: 10_000,
  /** Connect sessions that one statement reads. */
  connectBatch: 50,
  /** A flow waits this long for an issuer's metadata that it can do without, in milliseconds. */
  issuerMetadataMs: 5_000,
  /** A name for the tenant's user, as its backend knows it. */
  userCharsMax: 256,
  /** Tenants or providers that one API key names. */
  apiKeyNamesMax: 1_000,
  /** Path patterns of one API key, and the characters of each. */
  apiKeyPathsMax: 100,
  apiKeyPathCharsMax: 512,
  /** Origins of one API key. */
  apiKeyOriginsMax: 20,
  /** Header names that a page asks for in a preflight. */
  headerChoiceCharsMax: 1_000,
  /** Time for which a browser keeps the answer to a preflight. */
  preflightSeconds: 600,
  /** Living child keys of one API key, and their longest life in milliseconds. */
  apiKeyChildrenMax: 100,
  apiKeyChildMsMax: 3_600_000,
  /** An API key as it may be sent. */
  apiKeyCharsMax: 512,
  /** API keys in the cache of a server. */
  apiKeysHeld: 10_000,
  /** Hashes of unknown keys in the cache, and look-ups of new keys at once. */
  strangeKeysHeld: 1_000,
  apiKeyLookUpsAtOnce: 32,
  /** A cached key is trusted this long, in milliseconds, after the last look for revoked keys. */
  apiKeyTrustedMs: 4_000,
  /** The pause between two looks for revoked keys. */
  apiKeyWatchMs: 2_000,
  /** The interval at which a server records the last use of keys, in milliseconds. */
  apiKeyUseNotedMs: 60_000,
  /** A request: URL, bytes and number of headers, and JSON body. */
  requestUrlCharsMax: 8_192,
  requestHeaderBytesMax: 16_384,
  /** A callback's URL: providers append the granted scopes, an id token and words of their own. */
  callbackCharsMax: 16_384,
  requestHeadersMax: 100,
  requestBodyBytesMax: 262_144,
  /** A form: its bytes, its fields, and the time for it in milliseconds. Strangers send forms, so little of them is read. */
  formBytesMax: 8_192,
  formFieldsMax: 32,
  formMs: 5_000,
  /** Forms of callers without a key that are read at once, in all and from one address. */
  strangerFormsAtOnce: 256,
  strangerFormsPerAddress: 64,
  /** Links, states and sessions of callers without a key that are looked up at once. */
  strangerLookUpsAtOnce: 32,
  requestJsonDepthMax: 32,
  requestJsonMembersMax: 4_096,
  /** One line of an import. */
  importLineBytesMax: 65_536,
  /** A server waits this long for the next bytes of an import, in milliseconds. */
  importIdleMs: 60_000,
  /** Grants of one import that are stored at once. */
  importConcurrency: 8,
  /** A client must send a JSON body within this time, in milliseconds. */
  requestBodyMs: 30_000,
  /** A body through the proxy, in either direction. */
  proxyBodyBytesMax: 4_294_967_296,
  /** A body up to this size is kept, so that it can be sent again when the API refuses the token. */
  proxyRepeatBytesMax: 262_144,
  /** A refused client may send for this long before its connection is closed, in milliseconds. */
  requestLeftoverMs: 2_000,
  /** Concurrent calls to one provider and data centre, per process. */
  providerCallsMax: 16,
  /** Additional calls for grants whose overlap is running out. */
  urgentCallsMax: 4,
  /** Consecutive failures that open a circuit breaker. */
  breakerFailures: 8,
  /** The retry budget: retries per call to a provider, and the most that it can hold. */
  retryBudgetShare: 0.1,
  retryBudgetMax: 50,
  /** Refused grants of one provider, and their share of its attempts, beyond which no grant is given up. */
  verdictRefusalsMin: 5,
  verdictRefusalShare: 0.2,
  /** Newest refusals, and newest attempts, of all providers that one count reads. */
  refusalsReadMax: 1_000,
  attemptsReadMax: 5_000,
  /** From this number of refused grants on, one count serves all verdicts of a process for this time, in milliseconds. */
  refusalsSharedMin: 50,
  refusalsSharedMs: 1_000,
  /** Grants that a worker claims at once. */
  workerBatch: 32,
  /** Grants that the workers of one process hold at once, and additional ones that are uncertain. */
  workerGrantsMax: 256,
  workerDoubtsMax: 128,
  attemptsListedMax: 20,
  /** Grants that one look for times of a clock that was ahead corrects. */
  clockRowsMax: 500,
  /** Rounds of a refresh before its caller gets `refresh_uncertain`. */
  refreshRoundsMax: 16,
  /** Grants in back-off that one recovery of their provider releases. */
  releasedAtOnce: 500,
  /** Outcomes of attempts that are held in memory while the database is down. */
  pendingOutcomesMax: 10_000,
  condemnedKeptDaysMax: 3_650,
  /** The highest values of the options of a vault. */
  callerWaitMsMax: 3_600_000,
  staleHandOutMsMax: 86_400_000,
  poolSizeMax: 1_000,
  /** Kept tokens of one grant that are retried or revoked, newest first. */
  candidatesListedMax: 500,
  /** The last token sets of one grant that were replaced by hand and are kept for `recover`. */
  replacedKeptMax: 10,
  /** Answers of one grant that are kept although they were not understood; an even number. */
  unreadAnswersMax: 32,
  /** Answers that one round of the workers tries to understand once more. */
  unreadAnswersTried: 16,
  /** Spool files that a start examines, to remove old ones. */
  spoolSweptAtStart: 256,
  /**
   * A transaction is undone after this long, in milliseconds. Less than the overlap with which other processes read
   * changes again, and never scaled: it is about real databases, however short a test makes its leases.
   */
  transactionMs: 8_000,
  /**
   * A caller that can do with what memory has waits this long for the database, in milliseconds; the second time where
   * memory is the worse answer. Never scaled, as above.
   */
  storagePatienceMs: 50,
  storagePatienceMsMax: 2_000,
  /** While the database is away, one read in this time asks whether it is back. */
  storageProbeMs: 1_000,
  /** A check of readiness takes no longer than this; another one begins beside one that hangs after the second time. */
  readinessMs: 1_500,
  readinessHangsMs: 5_000,
  /** Tries of a transaction that PostgreSQL rolled back because of another one. */
  transactionAttemptsMax: 5,
  /** SQLite's own wait while a database is opened. */
  sqliteOpenBusyMs: 5_000,
  sqliteStatementsMax: 256,
  postgresConnectionsMax: 10,
  /** Connections that the writers of one tenant may hold at once. */
  tenantWritesMax: 4,
  /** The least time for a connection to PostgreSQL, however short a test makes its times. */
  postgresConnectMsMin: 2_000,
  /** The oldest PostgreSQL, as `server_version_num`. */
  postgresVersionMin: 150_000,
  postgresIdleMs: 30_000,
  /** The client waits this much longer than the server's own time-out. */
  postgresGraceMs: 4_000,
} as const;
