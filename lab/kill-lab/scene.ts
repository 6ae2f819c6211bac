import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { bundlePrograms, labPrograms } from './bundle.ts';
import { Child } from './child.ts';
import type {
  Called,
  FamilyFacts,
  Minted,
  ProviderCommand,
  ProviderJudgement,
  ProviderPlan,
  ProviderStarted,
  WorkerCommand,
} from './messages.ts';

/** A provider and a few processes that share one database; none is killed. */
export interface Scene extends AsyncDisposable {
  readonly started: ProviderStarted;
  /** Stores a grant that has no access token yet. */
  connect(tenant: string): Promise<void>;
  /** Makes every process refresh its own grant: the first refresh loads and compiles code. */
  warmUp(): Promise<void>;
  /** Starts callers in each process that request one tenant's token at the same moment. */
  callAll(tenant: string, callers: number): Promise<Called[]>;
  /** Returns the provider's facts about a tenant's grant. */
  facts(tenant: string): Promise<FamilyFacts | undefined>;
}

export async function openScene(options: {
  /** Database: `sqlite`, or the URL of an empty PostgreSQL database. */
  database: string;
  processes: number;
  provider: Pick<ProviderPlan, 'profile' | 'delayMs'>;
}): Promise<Scene> {
  const directory = mkdtempSync(path.join(tmpdir(), 'grantry-scene-'));
  const children: Child<WorkerCommand>[] = [];
  const programs = await bundlePrograms(`${directory}/programs`, labPrograms);
  const provider = await Child.start<ProviderCommand>(programs.provider);
  const end = async (): Promise<void> => {
    await Promise.all([provider, ...children].map((child) => child.kill()));
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const plan = { ...options.provider, accessTokenSeconds: 3_600, overlapSeconds: 60, seed: 1 };
    const started = await provider.ask<ProviderStarted>({ ask: 'start', plan });
    const database = options.database === 'sqlite' ? `sqlite:${directory}/grantry.db` : options.database;
    for (let index = 0; index < options.processes; index += 1) {
      children.push(await openWorker(programs.worker, { directory, database, index, started }));
    }
    const [first] = children;
    await first?.ask({ ask: 'app', clientId: started.clientId, clientSecret: started.clientSecret });
    return scene({ started, provider, children, end });
  } catch (error) {
    await end();
    throw error;
  }
}

function scene(parts: {
  started: ProviderStarted;
  provider: Child<ProviderCommand>;
  children: readonly Child<WorkerCommand>[];
  end: () => Promise<void>;
}): Scene {
  const { started, provider, children, end } = parts;
  const families = new Map<string, string>();
  const connect = async (tenant: string): Promise<void> => {
    const [minted] = await provider.ask<Minted[]>({ ask: 'mint', count: 1 });
    if (minted === undefined) throw new Error('the provider gave no tokens');
    families.set(tenant, minted.family);
    await children[0]?.ask({ ask: 'store', grants: [{ tenant, refreshToken: minted.refreshToken }] });
  };
  return {
    started,
    connect,
    warmUp: async () => {
      for (const [index, child] of children.entries()) {
        const tenant = `warm-${index}`;
        await connect(tenant);
        const { errors } = await child.ask<Called>({ ask: 'call', tenant, callers: 1, at: Date.now() });
        if (errors.length > 0) throw new Error(`a first refresh failed: ${errors[0]}`);
      }
    },
    callAll: (tenant, callers) => {
      const at = Date.now() + 500;
      return Promise.all(children.map((child) => child.ask<Called>({ ask: 'call', tenant, callers, at })));
    },
    facts: async (tenant) => {
      const judgement = await provider.ask<ProviderJudgement>({ ask: 'judge' });
      return judgement.families.find(({ family }) => family === families.get(tenant));
    },
    [Symbol.asyncDispose]: end,
  };
}

async function openWorker(
  program: string,
  place: { directory: string; database: string; index: number; started: ProviderStarted },
): Promise<Child<WorkerCommand>> {
  const { directory, database, index, started } = place;
  const home = `${directory}/host-${index}`;
  mkdirSync(home);
  const child = await Child.start<WorkerCommand>(program);
  const plan = {
    database,
    rootKey: `file:${directory}/root.key`,
    home,
    scale: 1,
    warm: true,
    definition: started.definition,
    origin: started.origin,
    wireLog: `${directory}/${index}.wire`,
    tasks: 0,
    seed: index,
  };
  await child.ask({ ask: 'open', plan });
  return child;
}
