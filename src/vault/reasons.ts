/**
 * The reasons that the vault writes beside a grant's state and into events. After a failure without harm, a row holds
 * an error code instead until the next refresh.
 */
export const reasons = {
  /** The provider refused the refresh token, and again after a pause. */
  refused: 'refused',
  /** The provider replaced the refresh token, and the answer with the new one was lost. */
  lostRotation: 'lost_rotation',
  /** A refresh was sent and its answer was lost. */
  answerLost: 'answer_lost',
  /** An answer arrived, and the database refuses to save it. It waits in the spool of the host that got it. */
  answerRefused: 'answer_refused',
  /** The stored token was refused while candidates are left to try. */
  storedRefused: 'stored_refused',
  /** A candidate waits to be tried. */
  candidate: 'candidate',
  /** Another attempt may still bring tokens. */
  otherAttemptOpen: 'other_attempt_open',
  /** The provider refuses so many grants that verdicts are suspended. */
  verdictsSuspended: 'verdicts_suspended',
  /** The grant was condemned for a lost answer, but no answer was lost. */
  nothingWasLost: 'nothing_was_lost',
  disconnected: 'disconnected',
  /** Disconnected without revocation: another program may hold the same tokens. */
  leftAlive: 'left_alive',
  /** For a row that was taken over. */
  noRefreshToken: 'no_refresh_token',
  invalidName: 'invalid_name',
  /** For a connect session. */
  wrongUser: 'wrong_user',
  notCompleted: 'not_completed',
} as const;

export type Reason = (typeof reasons)[keyof typeof reasons];
