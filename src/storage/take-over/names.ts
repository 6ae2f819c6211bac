/** Names that our own indexes need. */
const indexNames = ['key', 'tenant_id', 'due', 'changed_at', 'refresh_fingerprint', 'original_id'];
const ourIndex = new RegExp(`\\boauth_tokens_(${indexNames.join('|')})\\b`, 'i');

/** Under which name a column that we do not know stays: the names of our own columns are taken. */
export function keptName(name: string, ours: ReadonlySet<string>): string {
  return ours.has(name) ? `original_${name}` : name;
}

/** A unique index may stand in the way of the wider key, and one over tokens would hold them. */
export function indexSurvives(definition: string): boolean {
  if (/^\s*create\s+unique/i.test(definition)) return false;
  return !/access_token|refresh_token/i.test(definition) && !ourIndex.test(definition);
}
