/** A program that keeps its grants with a peer, over one SQLite file that several such programs share. */
import { DatabaseSync } from 'node:sqlite';

import { type LossPeer, lossPeers, RefusedError } from './adapters.ts';
import type { PeerCommand, PeerPlan } from './messages.ts';

/** How long an access token is used before the next one is wanted. */
const wantedAfterMs = 1_500;

class PeerWorker {
  readonly #db: DatabaseSync;
  readonly #peer: LossPeer;
  readonly #plan: PeerPlan;

  constructor(plan: PeerPlan) {
    const peer = lossPeers.find(({ name }) => name === plan.peer);
    if (peer === undefined) throw new Error(`there is no peer ${plan.peer}`);
    this.#peer = peer;
    this.#plan = plan;
    this.#db = new DatabaseSync(plan.database, { timeout: 5_000 });
  }

  work(): void {
    for (let task = 0; task < this.#plan.tasks; task += 1) void this.#loop();
  }

  async heal(): Promise<string[]> {
    const rows = this.#db.prepare('select tenant, state from grants').all();
    const lost: string[] = [];
    for (const { tenant, state } of rows) {
      this.#db.prepare('update grants set locked_until = 0 where tenant = ?').run(String(tenant));
      if (state === 'dead' || !(await this.#refresh(String(tenant), 0))) lost.push(String(tenant));
    }
    return lost;
  }

  async #loop(): Promise<void> {
    for (;;) {
      const row = this.#db
        .prepare("select tenant, refreshed_at from grants where state = 'active' order by random() limit 1")
        .get();
      if (row !== undefined) await this.#refresh(String(row['tenant']), Number(row['refreshed_at']) + wantedAfterMs);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** False when the grant is over. */
  async #refresh(tenant: string, dueAt: number): Promise<boolean> {
    if (Date.now() < dueAt || !this.#lock(tenant)) return true;
    const row = this.#db.prepare('select access_token, refresh_token from grants where tenant = ?').get(tenant);
    const grant = {
      tenant,
      accessToken: String(row?.['access_token']),
      refreshToken: String(row?.['refresh_token']),
    };
    // Only the lab reads this: a kill counts when it met a refresh under way.
    this.#db.prepare('insert into under_way (pid, tenant) values (?, ?)').run(process.pid, tenant);
    try {
      const tokens = await this.#peer.refresh(this.#plan.endpoint, grant);
      this.#db
        .prepare(
          'update grants set access_token = ?, refresh_token = ?, refreshed_at = ?, locked_until = 0 where tenant = ?',
        )
        .run(tokens.accessToken, tokens.refreshToken, Date.now(), tenant);
      return true;
    } catch (error) {
      this.#db.prepare('update grants set locked_until = 0 where tenant = ?').run(tenant);
      if (!(error instanceof RefusedError)) return true;
      this.#db.prepare("update grants set state = 'dead' where tenant = ?").run(tenant);
      return false;
    } finally {
      this.#db.prepare('delete from under_way where pid = ? and tenant = ?').run(process.pid, tenant);
    }
  }

  #lock(tenant: string): boolean {
    if (this.#peer.lockMs === 0) return true;
    const now = Date.now();
    const { changes } = this.#db
      .prepare('update grants set locked_until = ? where tenant = ? and locked_until < ?')
      .run(now + this.#peer.lockMs, tenant, now);
    return changes === 1;
  }
}

let worker: PeerWorker | undefined;

async function answer(command: PeerCommand): Promise<unknown> {
  if (command.ask === 'open') worker = new PeerWorker(command.plan);
  else if (command.ask === 'work') worker?.work();
  else return worker?.heal();
  return null;
}

process.on('message', (message) => {
  // Only the lab writes here.
  const { id, command } = message as { id: number; command: PeerCommand };
  answer(command).then(
    (value) => process.send?.({ id, value: value ?? null }),
    (error: unknown) => process.send?.({ id, error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.({ id: 0, value: null });
