/** Variables that open the vault, its server or its database, and so give more than the tokens of one tenant. */
const ownSecrets = ['GRANTRY_API_KEY', 'GRANTRY_ROOT_KEY', 'GRANTRY_ADMIN_KEY_FILE', 'PGPASSWORD', 'PGPASSFILE'];

/** Secrets of the OAuth clients themselves, whichever program they were set for. */
const clientSecrets = /_(?:REFRESH_TOKEN|CLIENT_SECRET)$/i;

/** Addresses that may hold a password. */
const addresses = ['GRANTRY_DATABASE', 'GRANTRY_EGRESS_PROXY', 'DATABASE_URL'];

/**
 * The environment for a program that gets tokens: our own without secrets that reach further than these tokens.
 *
 * @param rootKey the source of the root key; the variable of `env:NAME` is withheld too
 * @param passed names that the user wants to pass in spite of this
 */
export function childEnvironment(
  environment: NodeJS.ProcessEnv,
  tokens: Readonly<Record<string, string>>,
  { rootKey, passed }: { rootKey: string; passed: readonly string[] },
): NodeJS.ProcessEnv {
  const withheld = new Set(rootKey.startsWith('env:') ? [...ownSecrets, rootKey.slice('env:'.length)] : ownSecrets);
  const kept = Object.entries(environment).filter(
    ([name, value = '']) =>
      passed.includes(name) ||
      !(withheld.has(name) || clientSecrets.test(name) || (addresses.includes(name) && hasPassword(value))),
  );
  return { ...Object.fromEntries(kept), ...tokens };
}

/** A proxy's address may have no scheme. */
function hasPassword(address: string): boolean {
  return /(?:^|\/\/)[^/?#]*:[^/?#]*@|[?&]password=/i.test(address);
}
