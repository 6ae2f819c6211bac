import type { SealPlace } from '../../crypto/tenant-keys.ts';
import type { Reader } from '../../storage/database.ts';
import {
  type Page,
  type SealedTable,
  sealedCandidates,
  sealedRevocations,
  sealedSessions,
} from '../../storage/statements/reseal.ts';
import { pendingPlace } from '../connect/sessions.ts';
import { factsOf } from '../grant/facts.ts';
import { revocationPlace } from '../grant/revocations.ts';
import { candidatePlace } from '../grant/tokens.ts';

const pageRows = 500;

/** A sealed value that is neither a grant's nor an app's. */
export interface SealedValue {
  readonly table: SealedTable;
  readonly tenant: string;
  readonly id: string;
  readonly sealed: string;
  readonly place: SealPlace;
}

/** Reads the sealed values of candidates, revocations and connect sessions. */
export async function* sealedValues(db: Reader): AsyncGenerator<SealedValue> {
  for await (const row of rowsOf((page) => sealedCandidates(db, page))) {
    const { tenant, id, tokens: sealed } = row;
    yield { table: 'grantry_candidates', tenant, id, sealed, place: candidatePlace(factsOf(row), row) };
  }
  for await (const row of rowsOf((page) => sealedRevocations(db, page))) {
    const { tenant, id, token: sealed } = row;
    yield { table: 'grantry_revocations', tenant, id, sealed, place: revocationPlace(row) };
  }
  for await (const row of rowsOf((page) => sealedSessions(db, page))) {
    const { tenant, id, pending } = row;
    const sealed = pending ?? '';
    yield { table: 'grantry_connect_sessions', tenant, id, sealed, place: pendingPlace(row) };
  }
}

/** Reads a table page by page, in the order of its ids. */
export async function* pagesOf<R extends { readonly id: string }>(
  read: (page: Page) => Promise<R[]>,
): AsyncGenerator<R[]> {
  let afterId: string | null = null;
  for (;;) {
    const page = await read({ afterId, limit: pageRows });
    if (page.length > 0) yield page;
    if (page.length < pageRows) return;
    afterId = page.at(-1)?.id ?? null;
  }
}

/** Reads a table row by row, in the order of its ids. */
export async function* rowsOf<R extends { readonly id: string }>(
  read: (page: Page) => Promise<R[]>,
): AsyncGenerator<R> {
  for await (const page of pagesOf(read)) yield* page;
}
