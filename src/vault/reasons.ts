/**
 * The reasons that the vault writes into a grant's row beside its state, and into events. A row may hold an error code
 * instead, while a failure without harm holds the next refresh back.
 */
export const reasons = {
  /** The provider refused the refresh token, and once more after a pause. */
  refused: 'refused',
  /** The provider replaced the refresh token, and the answer with the new one was lost. */
  lostRotation: 'lost_rotation',
  /** A refresh was sent and its answer was lost. */
  answerLost: 'answer_lost',
  /** The stored token was refused while candidates are left to try. */
  storedRefused: 'stored_refused',
  /** A candidate waits to be tried. */
  candidate: 'candidate',
  /** Another attempt may still bring tokens. */
  otherAttemptOpen: 'other_attempt_open',
  /** The provider refuses so many grants that no refusal counts. */
  verdictsSuspended: 'verdicts_suspended',
  /** A grant was given up for a lost answer, and no answer was lost. */
  nothingWasLost: 'nothing_was_lost',
  disconnected: 'disconnected',
  /** Disconnected without revocation: another program may hold the same tokens. */
  leftAlive: 'left_alive',
  /** Of a row that was taken over. */
  noRefreshToken: 'no_refresh_token',
  invalidName: 'invalid_name',
  /** Of a connect session. */
  wrongUser: 'wrong_user',
  notCompleted: 'not_completed',
} as const;

export type Reason = (typeof reasons)[keyof typeof reasons];
