/** The user whom a grant's metadata names; null if it names none. The provider's own id, so never a secret. */
export function userIn(metadata: Readonly<Record<string, unknown>>): string | null {
  const { user_id: id } = metadata;
  return (typeof id === 'string' && id !== '') || typeof id === 'number' ? String(id) : null;
}
