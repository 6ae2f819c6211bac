import { cosigner } from '../../audit/cosignature.ts';
import {
  formatVerifierKey,
  noteSigner,
  parseVerifierKey,
  type SignatureType,
  type SigningKey,
  seedBytes,
  signingKey,
} from '../../audit/keys.ts';
import type { NoteSigner } from '../../audit/note.ts';
import { GrantryError } from '../../base/errors.ts';
import { Secret } from '../../base/secret.ts';
import { type PinnedTenant, systemTenant } from '../../crypto/tenant-keys.ts';
import { type AuditKeyRow, insertAuditKey, listAuditKeys } from '../../storage/statements/audit/checkpoints.ts';
import { readInstance } from '../../storage/statements/instance.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { onlyShard } from './leaf.ts';

/**
 * The name of the log in its checkpoints. A database that was adopted, or a standby that was promoted, goes on under another
 * one: it may miss entries that checkpoints of the earlier name have signed, and no log signs twice.
 */
export async function originOf({ store }: VaultContext): Promise<string> {
  const instance = await readInstance(store.db);
  if (instance === undefined) throw new GrantryError('storage_unavailable', 'The table grantry_instance is empty.');
  const { vault_id, epoch, timeline } = instance;
  return `grantry.audit/${vault_id}/${epoch}${timeline === null ? '' : `-${timeline}`}`;
}

/** Ed25519, which every verifier of notes knows, and ML-DSA-44, which a quantum computer does not break. */
const types: readonly SignatureType[] = ['ed25519', 'ml-dsa-44-cosignature'];

/**
 * The keys that sign checkpoints now; made when there are none. A Node.js without ML-DSA-44 signs with Ed25519 only.
 *
 * @param options `brief` leaves ML-DSA-44 out
 */
export async function signersOf(
  context: VaultContext,
  timeSeconds: number,
  { brief }: { readonly brief: boolean },
): Promise<NoteSigner[]> {
  const system = await context.keys.pin(systemTenant);
  const rows = await currentKeys(context, system);
  return rows.flatMap((row) => {
    if (brief && row.algorithm !== 'ed25519') return [];
    const key = openKey(row, system);
    if (key === null) return [];
    return key.verifierKey.type === 'ed25519' ? noteSigner(key) : cosigner(key, timeSeconds);
  });
}

async function currentKeys(context: VaultContext, system: PinnedTenant): Promise<AuditKeyRow[]> {
  const { store } = context;
  const origin = await originOf(context);
  const isCurrent = (row: AuditKeyRow): boolean => row.retired_at === null && row.verifier.startsWith(`${origin}+`);
  const known = (await listAuditKeys(store.db, onlyShard)).filter(isCurrent);
  const missing = types.filter((type) => known.every((row) => row.algorithm !== type));
  for (const type of missing) await makeKey(context, system, { origin, type });
  if (missing.length === 0) return known;
  // Two processes may make keys at once. Both are good, so the log signs with each.
  return (await listAuditKeys(store.db, onlyShard)).filter(isCurrent);
}

async function makeKey(
  context: VaultContext,
  system: PinnedTenant,
  { origin, type }: { readonly origin: string; readonly type: SignatureType },
): Promise<void> {
  const seed = context.world.randomBytes(seedBytes);
  const made = signingKey(origin, type, seed);
  if (!made.ok) return;
  const verifier = formatVerifierKey(made.value.verifierKey);
  const id = made.value.verifierKey.keyId.toString(16).padStart(8, '0');
  const row = {
    shard: onlyShard,
    id,
    algorithm: type,
    verifier,
    private_key: system.seal(keyPlace(id), new Secret(Buffer.from(seed).toString('base64url'))),
    created_at: context.world.now(),
    retired_at: null,
  };
  seed.fill(0);
  await changing(context, async ({ tx, recordOther }) => {
    if (await insertAuditKey(tx, row))
      recordOther({ type: 'audit.key_created', details: { key: id, algorithm: type } });
  });
}

function openKey(row: AuditKeyRow, system: PinnedTenant): SigningKey | null {
  const type = types.find((known) => known === row.algorithm);
  const name = parseVerifierKey(row.verifier)?.name;
  if (type === undefined || name === undefined) return null;
  const seed = Buffer.from(system.open(keyPlace(row.id), row.private_key).reveal(), 'base64url');
  const made = signingKey(name, type, seed);
  seed.fill(0);
  return made.ok ? made.value : null;
}

function keyPlace(id: string) {
  return { table: 'grantry_audit_keys', row: `${onlyShard}/${id}`, column: 'private_key', generation: 0 };
}

/** The public keys of the log as text, also of retired keys. The auditor keeps them elsewhere. */
export async function verifiersOf({ store }: VaultContext): Promise<string[]> {
  return (await listAuditKeys(store.db, onlyShard)).map((row) => row.verifier);
}
