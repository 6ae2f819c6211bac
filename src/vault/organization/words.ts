/** Lines of the log about a connection, which a command says in its own words. */
export const sharedMessage = 'two tenants are in one organisation';
export const severalMessage = 'the user of a grant has several organisations, and none is chosen';
