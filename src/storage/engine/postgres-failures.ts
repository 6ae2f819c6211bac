import { GrantryError } from '../../base/errors.ts';
import { certificateTrouble } from '../../base/network/certificates.ts';
import { sqlState } from './failures.ts';

/** A failure that is about the server or the moment, not about the statement. */
interface Trouble {
  readonly meaning: string;
  /** The instruction for the operator; left out where the action of the code says it. */
  readonly action?: string;
  /** False if the same call cannot succeed before the operator changes a setting. */
  readonly retryable?: false;
}

const login =
  'Check user and password in GRANTRY_DATABASE; the password may stand in PGPASSWORD or PGPASSFILE instead.';

const noPassword: Trouble = { meaning: 'it wants a password, and none is set', action: login, retryable: false };

/** By the beginning of the SQLSTATE; the first that matches decides. */
const bySqlState: ReadonlyArray<readonly [prefix: string, trouble: Trouble]> = [
  ['08', { meaning: 'the connection failed' }],
  ['28P01', { meaning: 'it refused the password, or has no such role', action: login, retryable: false }],
  ['28', { meaning: 'it refused the login', action: login, retryable: false }],
  [
    '3D000',
    {
      meaning: 'there is no such database',
      action: 'Create the database, or correct its name in GRANTRY_DATABASE.',
      retryable: false,
    },
  ],
  [
    '3F000',
    { meaning: 'there is no such schema', action: "Check the role's search_path and the schema.", retryable: false },
  ],
  [
    '53300',
    {
      meaning: 'it has no free connection',
      action: 'Lower GRANTRY_POOL_MAX, raise max_connections, or use a pooler.',
    },
  ],
  ['53', { meaning: 'it is out of resources or connections' }],
  ['57', { meaning: 'it is shutting down, starting or took too long' }],
  ['58', { meaning: 'it reports a failure of its system' }],
  ['XX', { meaning: 'it reports a failure of its own' }],
  ['40', { meaning: 'it could not order concurrent transactions' }],
  ['55P03', { meaning: 'a lock was not to be had in time' }],
  ['25006', { meaning: 'it takes no writes (a standby?)' }],
  ['25P03', { meaning: 'the transaction was idle for too long' }],
  ['25P04', { meaning: 'the transaction took too long' }],
  [
    '42501',
    {
      meaning: 'this role lacks a privilege',
      action: 'Grant the privileges that docs/operating.md lists, or run grantry migrate as the owner of the tables.',
      retryable: false,
    },
  ],
];

/** Refusals of a login by the function of the server that refused: its texts come in the language of the server. */
const byRoutine: Readonly<Record<string, Trouble>> = {
  recv_password_packet: noPassword,
  ClientAuthentication: {
    meaning: 'its pg_hba.conf lets this role in from here neither with TLS nor without, or demands the other one',
    action: 'Add sslmode=verify-full to GRANTRY_DATABASE if the server demands TLS; else add a line to pg_hba.conf.',
    retryable: false,
  },
  InitializeSessionUserId: {
    meaning: 'there is no such role, or it may not log in',
    action: 'Create the role with login, or correct the user in GRANTRY_DATABASE.',
    retryable: false,
  },
};

const server = 'Check that PostgreSQL runs, and the host and port in GRANTRY_DATABASE.';

/** By the code of the system, where no answer came from the server. */
const byCode: Readonly<Record<string, Trouble>> = {
  ECONNREFUSED: { meaning: 'nothing listens at its address', action: server },
  ENOTFOUND: { meaning: 'its host has no address', action: 'Correct the host in GRANTRY_DATABASE.', retryable: false },
  EAI_AGAIN: { meaning: 'its host cannot be looked up now', action: 'Check the name server of this machine.' },
  ENOENT: { meaning: 'its socket does not exist', action: server },
  EACCES: { meaning: 'this user may not open its socket', action: server, retryable: false },
};

/** By the words of the driver, where it gives no code. */
const byWords: ReadonlyArray<readonly [words: RegExp, trouble: Trouble]> = [
  [/password must be a/, noPassword],
  [
    /does not support SSL connections/,
    {
      meaning: 'it offers no TLS, and sslmode demands it',
      action: 'Turn ssl on in the server, or set sslmode=disable if no other machine can read the network between.',
      retryable: false,
    },
  ],
];

/** Translates a failure of `pg`. Without an SQLSTATE it is the connection's. */
export function postgresFailure(error: unknown): GrantryError {
  if (error instanceof GrantryError) return error;
  const state = sqlState(error);
  if (state === undefined) return connectionFailure(error);
  const suffix = `SQLSTATE ${state}`;
  // A refused connection is fatal to its session. The same code for a statement says that the server lacks something.
  if (state === '55000' && textOf(error, 'severity') === 'FATAL') {
    return unavailable({ meaning: 'it takes no connections to this database now' }, suffix, error);
  }
  const routine = state.startsWith('28') ? byRoutine[textOf(error, 'routine') ?? ''] : undefined;
  const trouble = routine ?? bySqlState.find(([prefix]) => state.startsWith(prefix))?.[1];
  if (trouble !== undefined) return unavailable(trouble, suffix, error);
  const what = ['0A000', '42883', '55000'].includes(state) ? 'a function or feature that Grantry uses' : 'a statement';
  return new GrantryError('internal', `PostgreSQL refused ${what} (SQLSTATE ${state}).`, { cause: error });
}

function connectionFailure(error: unknown): GrantryError {
  const given = textOf(error, 'code');
  const code = given !== undefined && /^[A-Z][A-Z0-9_]{2,40}$/.test(given) ? given : undefined;
  const words = textOf(error, 'message') ?? '';
  const certificate = certificateTrouble(code);
  const trouble =
    certificate === null
      ? (byCode[code ?? ''] ?? byWords.find(([pattern]) => pattern.test(words))?.[1])
      : certificateFailure(certificate);
  if (trouble !== undefined) return unavailable(trouble, code, error);
  const detail = code === undefined ? '' : ` (${code})`;
  return new GrantryError('storage_unavailable', `The PostgreSQL server does not answer${detail}.`, { cause: error });
}

function certificateFailure(trouble: string): Trouble {
  const actions: Readonly<Record<string, string>> = {
    'it is for another host': 'Name the host in GRANTRY_DATABASE as its certificate does.',
    'it has expired': "Renew the server's certificate.",
  };
  const trust = "Name its issuer's certificate: sslrootcert=FILE in GRANTRY_DATABASE, or NODE_EXTRA_CA_CERTS.";
  return {
    meaning: `its certificate is not accepted: ${trouble}`,
    action: actions[trouble] ?? trust,
    retryable: false,
  };
}

function unavailable(
  { meaning, action, retryable }: Trouble,
  detail: string | undefined,
  cause: unknown,
): GrantryError {
  const suffix = detail === undefined ? '' : ` (${detail})`;
  return new GrantryError('storage_unavailable', `PostgreSQL: ${meaning}${suffix}.`, { action, retryable, cause });
}

function textOf(error: unknown, name: string): string | undefined {
  const value: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, name) : undefined;
  return typeof value === 'string' ? value : undefined;
}
