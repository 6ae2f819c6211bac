import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { dirname } from 'node:path';
import { z } from 'zod';
import { readVerifiers } from '../../audit/export-file.ts';
import { formatVerifierKey, type SigningKey, seedBytes, signingKey } from '../../audit/keys.ts';
import { hashFromBase64, hashToBase64 } from '../../audit/merkle.ts';
import type { TreeHead } from '../../audit/proofs.ts';
import { considerCheckpoint } from '../../audit/witness.ts';
import { GrantryError } from '../../base/errors.ts';
import { jsonIn } from '../../base/exact-json.ts';
import type { World } from '../../base/world.ts';

/** A body holds a checkpoint and a proof of at most 63 lines. */
const bodyBytesMax = 64 * 1_024;

const stateFile = z.object({
  seed: z.string(),
  name: z.string(),
  heads: z.record(z.string(), z.object({ size: z.int().min(0), root: z.string() })),
});

/** A witness of our own: it remembers the newest tree of each log, and signs only what goes on from there. */
export class WitnessServer {
  readonly #world: World;
  readonly #file: string;
  readonly #key: SigningKey;
  readonly #logs: ReadonlyMap<string, ReturnType<typeof readVerifiers>[number]['verifiers']>;
  #state: z.output<typeof stateFile>;

  /** @throws {GrantryError} `invalid_request` for a file or keys that cannot be read */
  constructor(world: World, options: { file: string; name: string; logKeys: readonly string[] }) {
    this.#world = world;
    this.#file = options.file;
    this.#state = readState(world, options);
    const made = signingKey(this.#state.name, 'ed25519-cosignature', Buffer.from(this.#state.seed, 'base64url'));
    if (!made.ok) throw new GrantryError('internal', 'This Node.js has no Ed25519.');
    this.#key = made.value;
    this.#logs = new Map(readVerifiers(options.logKeys).map(({ name, verifiers }) => [name, verifiers]));
    this.#save();
  }

  /** The public key, as those who trust the witness keep it. */
  get verifier(): string {
    return formatVerifierKey(this.#key.verifierKey);
  }

  listener(): Server {
    return createServer((request, response) => {
      this.#answer(request).then(
        ({ status, body, type }) => {
          response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body);
          return undefined;
        },
        // A sender that broke off, or a disk that is full: nothing was signed.
        () => response.writeHead(500).end(),
      );
    });
  }

  async #answer(request: IncomingMessage): Promise<{ status: number; body: string; type: string }> {
    const plain = { body: '', type: 'text/plain' };
    if (request.method !== 'POST' || request.url !== '/add-checkpoint') return { status: 404, ...plain };
    const text = await bodyOf(request);
    if (text === null) return { status: 413, ...plain };
    const heads = new Map<string, TreeHead>();
    for (const [origin, { size, root }] of Object.entries(this.#state.heads)) {
      const hash = hashFromBase64(root);
      if (hash !== undefined) heads.set(origin, { size, root: hash });
    }
    const timeSeconds = Math.floor(this.#world.now() / 1_000);
    const answer = considerCheckpoint(heads, text, { logs: this.#logs, keys: [this.#key], timeSeconds });
    if (answer.status === 200) {
      const { origin, head } = answer.signed;
      this.#state = {
        ...this.#state,
        heads: { ...this.#state.heads, [origin]: { size: head.size, root: hashToBase64(head.root) } },
      };
      // Kept before it is told: a witness never signs two trees.
      this.#save();
    }
    const type = answer.status === 409 ? answer.contentType : 'text/plain';
    return { status: answer.status, body: answer.body, type };
  }

  #save(): void {
    mkdirSync(dirname(this.#file), { recursive: true });
    const beside = `${this.#file}.new`;
    writeFileSync(beside, `${JSON.stringify(this.#state, null, 2)}\n`, { mode: 0o600, flush: true });
    renameSync(beside, this.#file);
  }
}

function readState(world: World, { file, name }: { file: string; name: string }): z.output<typeof stateFile> {
  if (!existsSync(file)) {
    return { seed: Buffer.from(world.randomBytes(seedBytes)).toString('base64url'), name, heads: {} };
  }
  const { success, data } = stateFile.safeParse(jsonIn(readFileSync(file, 'utf8')));
  if (!success) throw new GrantryError('invalid_request', `${file} is no state of a witness.`);
  return data;
}

async function bodyOf(request: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > bodyBytesMax) return null;
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
}
