import { newUuid } from '../../src/base/ids.ts';
import type { Vault } from '../../src/index.ts';
import { abandonAttempts, insertAttempt } from '../../src/storage/statements/attempts.ts';
import { claimDueGrants } from '../../src/storage/statements/due.ts';
import { findGrant, type GrantRow, grantsChangedSince, listGrants } from '../../src/storage/statements/grants.ts';
import { claimLease } from '../../src/storage/statements/leases.ts';
import { countTokenRequest } from '../../src/storage/statements/token-requests.ts';
import type { VaultContext } from '../../src/vault/context.ts';
import { openToken } from '../../src/vault/grant/tokens.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import { type Place, type Population, provider, sealedPlace } from './population.ts';

/** An opened vault with a population of grants. */
export interface Subject {
  readonly context: VaultContext;
  readonly population: Population;
  /** Time of the last grants' change. */
  readonly changedAtMs: number;
}

export interface Work {
  readonly name: string;
  /** Longest time of one round, in milliseconds. */
  readonly roundMs: number;
  /** Set when reading whole ranges of an index in order is intended. */
  readonly mayScanIndex?: boolean;
  once(subject: Subject, index: number): Promise<void>;
}

const windowMs = 600_000;

/** Daily work of a vault with many grants; each entry runs the library's own statements. */
export const works: readonly Work[] = [
  {
    name: 'read and open, tenant key at hand',
    roundMs: 150,
    once: async (subject, index) => {
      // Reads grants of few tenants, whose keys are cached after the first round.
      const row = await rowAt(
        subject,
        sealedPlace(subject.population, spread(index, Math.min(4_000, subject.population.sealed))),
      );
      await open(subject, row, {});
    },
  },
  {
    name: 'read and open, tenant key read too',
    roundMs: 150,
    once: async (subject, index) => {
      const row = await rowAt(subject, sealedPlace(subject.population, spread(index, subject.population.sealed)));
      await open(subject, row, { fresh: true });
    },
  },
  {
    name: 'claim: lease, intent, budget',
    roundMs: 300,
    once: async (subject, index) => claim(subject, await rowAt(subject, anyPlace(subject, index))),
  },
  {
    name: 'claim what is due (32)',
    roundMs: 300,
    once: async ({ context }) => {
      // Held only for a moment, so that as many grants stay due.
      const wish = { state: 'active' as const, limit: 32, holdMs: 1, doubtHoldMs: 1, exceptProviders: [] };
      const claimed = await context.store.transaction((tx) => claimDueGrants(tx, wish));
      if (claimed.length === 0) throw new Error('nothing is due');
    },
  },
  {
    name: 'look of the change feed',
    roundMs: 100,
    once: async ({ context, changedAtMs, population }) => {
      const changed = await grantsChangedSince(context.store.db, changedAtMs, 5_000);
      if (changed.length !== population.changed) throw new Error(`${changed.length} grants have changed`);
    },
  },
  {
    name: 'list page of all (100)',
    roundMs: 100,
    mayScanIndex: true,
    once: async (subject, index) => {
      const { tenant, account } = anyPlace(subject, index);
      await listGrants(subject.context.store.db, { after: { tenant, provider, account }, limit: 100 });
    },
  },
  {
    name: 'list page of a tenant',
    roundMs: 100,
    once: async (subject, index) => {
      const { tenant } = anyPlace(subject, index);
      const rows = await listGrants(subject.context.store.db, { tenant, limit: 100 });
      if (rows.length === 0) throw new Error('the tenant has no grants');
    },
  },
  {
    name: 'list page of a state, active',
    roundMs: 100,
    mayScanIndex: true,
    once: async ({ context }) => {
      const rows = await listGrants(context.store.db, { state: 'active', limit: 100 });
      if (rows.length !== 100) throw new Error('grants are missing');
    },
  },
  {
    name: 'list page of a state, rare',
    roundMs: 100,
    once: async ({ context }) => {
      const rows = await listGrants(context.store.db, { state: 'uncertain', limit: 100 });
      if (rows.length !== 0) throw new Error('there is no such grant');
    },
  },
];

export function subjectOf(vault: Vault, population: Population, changedAtMs: number): Subject {
  return { context: internalsOf(vault).open(), population, changedAtMs };
}

async function rowAt({ context }: Subject, { tenant, account }: Place): Promise<GrantRow> {
  const row = await findGrant(context.store.db, { tenant, provider, account });
  if (row === undefined) throw new Error(`${tenant} has no grant ${account}`);
  return row;
}

async function open({ context }: Subject, row: GrantRow, how: { fresh?: boolean }): Promise<void> {
  const secret = openToken(await context.keys.pin(row.client_id, how), row, 'access_token');
  if (secret === null) throw new Error('the grant has no token');
}

/** Runs the transaction that precedes every token request; its lease ends at once. */
async function claim({ context }: Subject, row: GrantRow): Promise<void> {
  const { store } = context;
  const { client_id: tenant, id: grantId, generation } = row;
  const attemptId = newUuid(context.world);
  const fingerprint = row.refresh_fingerprint ?? 'none';
  await store.transaction(async (tx) => {
    const fence = await claimLease(tx, { seen: row, owner: 'bench', leaseMs: -1, overlapMs: null });
    if (fence === undefined) throw new Error('the lease is taken');
    await abandonAttempts(tx, { tenant, grantId, generation, exceptId: attemptId });
    await insertAttempt(tx, {
      id: attemptId,
      tenant,
      grant_id: grantId,
      fence,
      generation,
      token_fingerprint: fingerprint,
      candidate_id: null,
      owner: 'bench',
    });
    await countTokenRequest(tx, { fingerprint, attemptId }, { requests: 1_000, windowMs, marginMs: 10_000 });
  });
}

/** Chooses places all over the table, in no order. */
function anyPlace({ population }: Subject, index: number): Place {
  const place = spread(index, population.grants);
  return { tenant: `tenant-${Math.floor(place / 10)}`, account: `account-${place % 10}` };
}

/** Visits all numbers below `count` in an order independent of their values. */
function spread(index: number, count: number): number {
  return (index * 7_919 + 13) % count;
}
