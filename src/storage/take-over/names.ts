/** Names that the vault's own indexes need. */
const indexNames = ['key', 'tenant_id', 'due', 'changed_at', 'refresh_fingerprint', 'slots', 'original_id'];
const ourIndex = new RegExp(`\\boauth_tokens_(${indexNames.join('|')})\\b`, 'i');

/** Columns that later migrations add. */
const laterColumns: readonly string[] = ['consented_at', 'consent_user'];

/** Names an unknown column after a take-over: the names of the vault's own columns are taken. */
export function keptName(name: string, ours: { has(name: string): boolean }): string {
  return ours.has(name) || laterColumns.includes(name) ? `original_${name}` : name;
}

/** Returns false for a unique index, which may conflict with the wider key, and for one that would hold tokens. */
export function indexSurvives(definition: string): boolean {
  if (/^\s*create\s+unique/i.test(definition)) return false;
  return !/access_token|refresh_token/i.test(definition) && !ourIndex.test(definition);
}
