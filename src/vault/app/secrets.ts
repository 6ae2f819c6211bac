import type { Secret } from '../../base/secret.ts';
import { systemTenant } from '../../crypto/tenant-keys.ts';
import type { AppRow } from '../../storage/statements/apps.ts';
import type { VaultContext } from '../context.ts';

/** Stands for "every data centre without a secret of its own". */
export const anyDc = '*';

type SystemKeys = Awaited<ReturnType<VaultContext['keys']['pin']>>;

/** The keys that seal what belongs to no tenant. */
export function pinSystemKeys(context: VaultContext): Promise<SystemKeys> {
  return context.keys.pin(systemTenant);
}

/** The client secrets of an app, by data centre. */
export function openSecrets(system: SystemKeys, row: AppRow): Map<string, Secret> {
  const sealed = Object.entries(parseSecrets(row.client_secrets));
  return new Map(sealed.map(([dc, text]) => [dc, system.open(secretPlace(row.name, dc, row.generation), text)]));
}

/** The column of an app's row that holds its secrets. A secret is sealed beside the row's generation. */
export function sealSecrets(
  system: SystemKeys,
  app: Pick<AppRow, 'name' | 'generation'>,
  secrets: ReadonlyMap<string, Secret>,
): string {
  const sealed = [...secrets].map(([dc, secret]) => [
    dc,
    system.seal(secretPlace(app.name, dc, app.generation), secret),
  ]);
  return JSON.stringify(Object.fromEntries(sealed));
}

/** The secret that an app uses in one data centre; null when it has none for it. */
export function secretFor(secrets: ReadonlyMap<string, Secret>, dc: string | null): Secret | null {
  return (dc === null ? undefined : secrets.get(dc)) ?? secrets.get(anyDc) ?? null;
}

/** The data centres that an app has a secret for. */
export function dcsWithSecret(row: Pick<AppRow, 'client_secrets'>): string[] {
  return Object.keys(parseSecrets(row.client_secrets)).sort();
}

function secretPlace(name: string, dc: string, generation: number) {
  return { table: 'grantry_apps', row: name, column: `client_secret:${dc}`, generation };
}

function parseSecrets(json: string): Record<string, string> {
  // Written by this file alone, as an object of strings.
  return JSON.parse(json) as Record<string, string>;
}
