// The names that examples in docstrings may take as given.
import type { GrantKey, Vault } from 'grantry';

declare global {
  const vault: Vault;
  const key: GrantKey;
  function askToConnectAgain(): void;
}
