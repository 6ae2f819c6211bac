import { DatabaseSync } from 'node:sqlite';

import type { Minted } from '../../../lab/kill-lab/messages.ts';

/** A row of the store that every peer gets: one SQLite file, one row per tenant. */
export interface StoredGrant {
  readonly tenant: string;
  readonly accessToken: string;
  readonly refreshToken: string;
}

/** The file as one process opens it. */
export class PeerStore implements Disposable {
  readonly path: string;
  readonly db: DatabaseSync;

  constructor(path: string) {
    this.path = path;
    this.db = new DatabaseSync(path, { timeout: 5_000 });
  }

  static make(path: string, minted: readonly Minted[]): PeerStore {
    const store = new PeerStore(path);
    store.db.exec(`pragma journal_mode = wal;
      create table grants (tenant text primary key, access_token text, refresh_token text, refreshed_at integer default 0,
        state text default 'active');
      create table locks (name text primary key, held_until integer);
      create table under_way (pid integer, tenant text)`);
    const insert = store.db.prepare('insert into grants (tenant, access_token, refresh_token) values (?, ?, ?)');
    minted.forEach(({ accessToken, refreshToken }, index) => insert.run(`tenant-${index}`, accessToken, refreshToken));
    return store;
  }

  read(tenant: string): StoredGrant | undefined {
    const row = this.db
      .prepare("select access_token, refresh_token from grants where tenant = ? and state = 'active'")
      .get(tenant);
    if (row === undefined) return undefined;
    return { tenant, accessToken: String(row['access_token']), refreshToken: String(row['refresh_token']) };
  }

  save({ tenant, accessToken, refreshToken }: StoredGrant): void {
    this.db
      .prepare('update grants set access_token = ?, refresh_token = ? where tenant = ?')
      .run(accessToken, refreshToken, tenant);
  }

  tenants(): string[] {
    return this.db
      .prepare('select tenant from grants')
      .all()
      .map((row) => String(row['tenant']));
  }

  bury(tenant: string): void {
    this.db.prepare("update grants set state = 'dead' where tenant = ?").run(tenant);
  }

  /** Takes a lock with a time-out: a process that finds it expired takes it. */
  lock(name: string, ms: number): boolean {
    const now = Date.now();
    const { changes } = this.db
      .prepare(
        `insert into locks (name, held_until) values (?, ?)
         on conflict (name) do update set held_until = excluded.held_until where held_until < ?`,
      )
      .run(name, now + ms, now);
    return Number(changes) === 1;
  }

  unlock(name: string): void {
    this.db.prepare('delete from locks where name = ?').run(name);
  }

  [Symbol.dispose](): void {
    this.db.close();
  }
}
