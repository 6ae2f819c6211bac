import type { Secret } from '../../base/secret.ts';
import { type SealPlace, systemTenant } from '../../crypto/tenant-keys.ts';
import type { AppRow } from '../../storage/statements/apps.ts';
import type { VaultContext } from '../context.ts';

/** The key of the secret for all data centres without their own. */
export const anyDc = '*';

type SystemKeys = Awaited<ReturnType<VaultContext['keys']['pin']>>;

/** Loads the keys that seal the values of no tenant. */
export function pinSystemKeys(context: VaultContext): Promise<SystemKeys> {
  return context.keys.pin(systemTenant);
}

/** Opens the client secrets of an app, by data centre. */
export function openSecrets(system: SystemKeys, row: SealedApp & Pick<AppRow, 'client_secrets'>): Map<string, Secret> {
  const sealed = Object.entries(parseSecrets(row.client_secrets));
  return new Map(sealed.map(([dc, text]) => [dc, system.open(secretPlace(row, dc), text)]));
}

/** Seals client secrets for the column of an app's row. Each seal binds the row's generation, client and provider. */
export function sealSecrets(system: SystemKeys, app: SealedApp, secrets: ReadonlyMap<string, Secret>): string {
  const sealed = [...secrets].map(([dc, secret]) => [dc, system.seal(secretPlace(app, dc), secret)]);
  return JSON.stringify(Object.fromEntries(sealed));
}

/** The secret that an app uses in one data centre, or null. */
export function secretFor(secrets: ReadonlyMap<string, Secret>, dc: string | null): Secret | null {
  return (dc === null ? undefined : secrets.get(dc)) ?? secrets.get(anyDc) ?? null;
}

/** The data centres for which an app has a secret. */
export function dcsWithSecret(row: Pick<AppRow, 'client_secrets'>): string[] {
  return Object.keys(parseSecrets(row.client_secrets)).sort();
}

/** The columns of an app that the seals of its secrets bind: a secret opens only for its own client and provider. */
export type SealedApp = Pick<AppRow, 'name' | 'generation' | 'provider' | 'client_id'>;

function secretPlace({ name, generation, provider, client_id }: SealedApp, dc: string): SealPlace {
  const facts = [provider, client_id, dc];
  return { table: 'grantry_apps', row: name, column: `client_secret:${dc}`, generation, facts };
}

function parseSecrets(json: string): Record<string, string> {
  // Only this file writes this column, as an object of strings.
  return JSON.parse(json) as Record<string, string>;
}
