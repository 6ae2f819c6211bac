/** A program that keeps its grants with a peer, over one SQLite file that several such programs share. */
import { lossPeers } from './adapters.ts';
import { lossPeerNames, type PeerCommand, type PeerPlan } from './messages.ts';
import { type Refresh, RefusedError } from './peer.ts';
import { PeerStore } from './store.ts';

/** Time for which an access token is used before the next one is needed. */
const wantedAfterMs = 1_500;
/** Attempts after failures that are no refusals, before a grant counts as lost. */
const triesInCalm = 3;

class PeerWorker {
  readonly #store: PeerStore;
  readonly #refreshWithPeer: Refresh;
  readonly #plan: PeerPlan;

  private constructor(plan: PeerPlan, store: PeerStore, refresh: Refresh) {
    this.#plan = plan;
    this.#store = store;
    this.#refreshWithPeer = refresh;
  }

  static async open(plan: PeerPlan): Promise<PeerWorker> {
    const name = lossPeerNames.find((known) => known === plan.peer);
    if (name === undefined) throw new Error(`there is no peer ${plan.peer}`);
    const peer = await lossPeers[name]();
    const store = new PeerStore(plan.database);
    return new PeerWorker(plan, store, await peer.open(store, plan.endpoint));
  }

  work(): void {
    for (let task = 0; task < this.#plan.tasks; task += 1) void this.#loop();
  }

  /** Refreshes each grant one last time; returns the tenants whose grants are over. */
  async heal(): Promise<string[]> {
    this.#store.db.exec('delete from locks');
    const lost: string[] = [];
    for (const tenant of this.#store.tenants()) if (!(await this.#lives(tenant))) lost.push(tenant);
    return lost;
  }

  async #lives(tenant: string): Promise<boolean> {
    for (let tries = 0; tries < triesInCalm; tries += 1) {
      const outcome = await this.#refresh(tenant);
      if (outcome !== 'failed') return outcome === 'refreshed';
    }
    return false;
  }

  async #loop(): Promise<void> {
    const due = this.#store.db.prepare(
      "select tenant from grants where state = 'active' and refreshed_at < ? order by random() limit 1",
    );
    for (;;) {
      const row = due.get(Date.now() - wantedAfterMs);
      if (row !== undefined) await this.#refresh(String(row['tenant']));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async #refresh(tenant: string): Promise<'refreshed' | 'refused' | 'failed'> {
    const { db } = this.#store;
    try {
      // Only the lab reads this: a kill counts when a request was under way.
      await this.#refreshWithPeer(tenant, () => {
        db.prepare('insert into under_way (pid, tenant) values (?, ?)').run(process.pid, tenant);
      });
      db.prepare('update grants set refreshed_at = ? where tenant = ?').run(Date.now(), tenant);
      return 'refreshed';
    } catch (error) {
      if (!(error instanceof RefusedError)) return 'failed';
      this.#store.bury(tenant);
      return 'refused';
    } finally {
      db.prepare('delete from under_way where pid = ? and tenant = ?').run(process.pid, tenant);
    }
  }
}

let worker: PeerWorker | undefined;

async function answer(command: PeerCommand): Promise<unknown> {
  if (command.ask === 'open') worker = await PeerWorker.open(command.plan);
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
