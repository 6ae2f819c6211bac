/** Why a grant is uncertain whose stored token was refused while candidates are left: those have their turn. */
export const storedRefused = 'stored_refused';
