import { assert } from './errors.ts';

/**
 * How long things may take, in milliseconds. The numbers depend on each other (see {@link assertTimingRule}), so a test
 * that wants them shorter scales all of them through {@link World.timeScale}.
 */
const baseTimes = {
  /** Connecting and writing the request. */
  connectMs: 10_000,
  /** D: from the point of no return until the provider's answer is complete. */
  answerDeadlineMs: 90_000,
  /** Clock and scheduling error that every comparison between two processes allows for. */
  marginMs: 10_000,
  /** Where a replayed refresh token kills the grant: outlives the deadline and is never renewed. */
  strictLeaseMs: 120_000,
  /** Where a replay is harmless or needed quickly. */
  renewedLeaseMs: 4_000,
  leaseRenewalMs: 1_000,
  /** An overlap shorter than this leaves no room for a second try: such providers get the strict lease. */
  quickOverlapMinMs: 15_000,
  /** No caller waits longer. */
  callerWaitMs: 30_000,
  /** A first refusal is confirmed after this long. */
  suspectConfirmMs: 30_000,
  waiterPollMinMs: 20,
  waiterPollMaxMs: 100,
  /** How often other processes' changes are looked for. */
  feedSqliteMs: 500,
  feedPostgresMs: 2_000,
  /** Memory is trusted without a look at the database for this long after the last look. */
  feedTrustMs: 4_000,
  /** How far back each look reads again, for transactions that ended late. */
  feedOverlapMs: 10_000,
  /** Hand-out from memory while the database cannot be reached. */
  staleHandOutMs: 300_000,
  /** A spool file is kept this long after its commit: a failover may lose the tail. */
  spoolKeptMs: 600_000,
  /** An unwrapped tenant key is used this long before the store is asked again. */
  tenantKeyCachedMs: 600_000,
  /** A transaction that finds the database busy gives up after this long. */
  storageBusyMs: 10_000,
  /** A take-over waits this long for another process that takes the same table over. */
  takeOverWaitMs: 600_000,
  /** And this long for others to let go of the database, before it leaves the scrubbing to the next start. */
  scrubWaitMs: 60_000,
  /** Authorization request until callback. */
  authorizationMs: 600_000,
  /** A connect link until its button is pressed. */
  connectLinkMs: 1_800_000,
  /** Tokens of a connect session wait this long for the completion code. */
  connectCompletionMs: 600_000,
  /** What became of a connect session can be asked for this long after its end. */
  connectKeptMs: 86_400_000,
  /** A token obtained this recently satisfies any minimum validity. */
  justRefreshedMs: 60_000,
  /** How long a breaker stays open the first time. */
  breakerPauseMs: 2_000,
  /** Verdicts on a provider's grants are suspended this long when it refuses too many. */
  verdictWindowMs: 300_000,
  /** A suspicion that lasts longer than this is judged all the same. */
  verdictSuspendedMsMax: 3_600_000,
  /** A refusal of a token younger than this, itself got for a refused one, says that the token was not the trouble. */
  uselessRefreshMs: 600_000,
  /** A condemned grant is tried again this long after, then after six times and 144 times as long. */
  secondChanceMs: 600_000,
  /** Tokens of a condemned grant stay sealed this long. */
  condemnedKeptMs: 2_592_000_000,
  /** How long workers pause when nothing is due. */
  workerPauseMs: 5_000,
  /** While one worker looks at a grant, others leave it alone. */
  workerHoldMs: 120_000,
  /** The same for a grant in doubt: its overlap may be running out, should that worker die. */
  doubtHoldMs: 10_000,
  /** A grant counts as in use for this long after its last hand-out. */
  inUseMs: 86_400_000,
  /** How often hand-outs are noted. */
  usageNoteMs: 60_000,
  /** A plain retry after a request that failed without harm. */
  retryBackOffMs: 2_000,
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
 * A lease may never lapse while its holder may still be calling: checked when a vault opens.
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
  scopeCharsMax: 512,
  scopesMax: 256,
  metadataBytesMax: 16_384,
  metadataKeysMax: 64,
  /** A token endpoint's answer, after decompression. */
  answerBytesMax: 1_048_576,
  /** How much of an API's answer is looked at to find out whether it refuses the token. */
  apiPeekBytesMax: 262_144,
  /** A provider definition, an env file, a metadata document. */
  documentBytesMax: 262_144,
  minValiditySecondsMax: 31_536_000,
  /** An access token's life as computed; what providers say beyond it is clamped. */
  accessTokenLifetimeMsMax: 31_536_000_000,
  /** Grants whose tokens are held in memory, and what they may take together: long tokens are fewer. */
  cacheEntriesMax: 100_000,
  cacheBytesMax: 48_000_000,
  /** The same in a program that runs one command and ends. */
  cacheEntriesOneShot: 1_000,
  /** Tenants whose unwrapped keys are held in memory. */
  tenantKeysMax: 5_000,
  /** What a root key source may give; a key in base64 has 44 characters. */
  rootKeyTextBytesMax: 1_024,
  /** A command that prints the root key: cloud tools take seconds to start. */
  rootKeyCommandMs: 30_000,
  /** Changed grants that one look of the change feed reads; more than that empties the memory instead. */
  feedRowsMax: 5_000,
  /** Grants whose use is noted in one statement. */
  usageBatch: 200,
  /** How far back a provider's limit of token requests may look: they are remembered for as long. */
  tokenWindowSecondsMax: 86_400,
  /** Token requests that one statement forgets. */
  tokenRequestsPurged: 500,
  /** No queue is counted further than this for its gauge. */
  queueCountMax: 10_000,
  pageItemsMax: 500,
  /** How often the button of one connect link may be pressed. */
  connectStartsMax: 20,
  /** How long tokens that just came wait for a database that is away, and how often it is tried, in milliseconds. */
  connectKeepMs: 20_000,
  connectKeepPauseMs: 500,
  /** Connect sessions that one statement looks at. */
  connectBatch: 50,
  /** A name for the tenant's user, as its backend knows it. */
  userCharsMax: 256,
  /** Tenants or providers that one API key names. */
  apiKeyNamesMax: 1_000,
  /** An API key as it may be sent. */
  apiKeyCharsMax: 512,
  /** API keys that a server remembers. */
  apiKeysHeld: 10_000,
  /** Hashes of no key that are remembered as such, and look-ups of keys never seen before that are under way at once. */
  strangeKeysHeld: 1_000,
  apiKeyLookUpsAtOnce: 32,
  /** How long a key is trusted without another look, in milliseconds, and how long while the database is away. */
  apiKeyTrustedMs: 4_000,
  apiKeyTrustedOfflineMs: 300_000,
  /** How often a server writes down when keys were last used. */
  apiKeyUseNotedMs: 60_000,
  /** What a server takes: the URL, all headers, how many, and a JSON body, in bytes or characters. */
  requestUrlCharsMax: 8_192,
  requestHeaderBytesMax: 16_384,
  requestHeadersMax: 100,
  requestBodyBytesMax: 262_144,
  requestJsonDepthMax: 32,
  requestJsonMembersMax: 4_096,
  /** One line of an import. */
  importLineBytesMax: 65_536,
  /** How long a server waits for the next bytes of an import, in milliseconds. */
  importIdleMs: 60_000,
  /** Grants of one import that are stored at once. */
  importConcurrency: 8,
  /** Until a client has sent the whole of a JSON body, in milliseconds. */
  requestBodyMs: 30_000,
  /** A body that the proxy passes on, in either direction. */
  proxyBodyBytesMax: 4_294_967_296,
  /** A body up to this size is kept while it is sent: it can be sent again when the API refuses the token. */
  proxyRepeatBytesMax: 262_144,
  /** How long a refused client may go on sending before its connection is cut, in milliseconds. */
  requestLeftoverMs: 2_000,
  /** Calls at once to one provider and data centre, from one process. */
  providerCallsMax: 16,
  /** And so many more for grants whose overlap is running out. */
  urgentCallsMax: 4,
  /** Failures in a row that open a breaker. */
  breakerFailures: 8,
  breakerDoublingsMax: 5,
  /** Retries per call to a provider, and how many may be saved up. */
  retryBudgetShare: 0.1,
  retryBudgetMax: 50,
  /** Refused grants of one provider, and their share of its attempts, that suspend its verdicts. */
  verdictRefusalsMin: 5,
  verdictRefusalShare: 0.2,
  /** Grants that a worker claims at once. */
  workerBatch: 32,
  /** Grants that one process's workers look after at once, and how many more that are in doubt. */
  workerGrantsMax: 256,
  workerDoubtsMax: 128,
  attemptsListedMax: 20,
  /** How often a refresh begins anew before its caller is told to come again. */
  refreshRoundsMax: 16,
  /** Ends of attempts that are remembered while the database is away. */
  pendingOutcomesMax: 10_000,
  condemnedKeptDaysMax: 3_650,
  /** Kept tokens of one grant that are tried or revoked, newest first. */
  candidatesListedMax: 500,
  /** Files of the spool that a start looks at, to remove what is old. */
  spoolSweptAtStart: 256,
  /**
   * A transaction is undone after this long, in milliseconds. Less than the overlap with which other processes read
   * changes again, and never scaled: it is about real databases, however short a test makes its leases.
   */
  transactionMs: 8_000,
  /** How often a transaction that PostgreSQL undid for another one's sake is run. */
  transactionAttemptsMax: 5,
  /** Waiting inside SQLite, while a database is opened and nothing else runs. */
  sqliteOpenBusyMs: 5_000,
  sqliteStatementsMax: 256,
  postgresConnectionsMax: 10,
  /** However short a test makes its times, a real server on a busy machine is given this long to take a connection. */
  postgresConnectMsMin: 2_000,
  /** As `server_version_num` says it. */
  postgresVersionMin: 150_000,
  postgresIdleMs: 30_000,
  /** How much longer than the server's own time-out this side waits for its answer. */
  postgresGraceMs: 4_000,
} as const;
