import type { KeyObject } from 'node:crypto';
import { assert, GrantryError } from '../base/errors.ts';
import { Secret } from '../base/secret.ts';
import type { World } from '../base/world.ts';
import { createFingerprint, type Fingerprint } from './fingerprint.ts';
import { isFormat1, openRecord, saltBytes, sealRecord } from './record.ts';
import { createRowMac, type RowMac } from './row-mac.ts';

/** Fingerprints must survive every rotation, so their key always comes from the first version. */
const fingerprintVersion = 1;

/** Location of a sealed value. The value opens at no other place and with no other generation. */
export interface SealPlace {
  table: string;
  row: string;
  column: string;
  /** Counts the values this row has had; 0 or more. */
  generation: number;
  /**
   * The facts that decide where the value goes, such as provider and data centre. With them the seal has format 2, and
   * opens only beside the same facts.
   */
  facts?: readonly string[] | undefined;
}

/** One tenant's unwrapped keys, for as long as the caller holds this object; it needs no database. */
export interface PinnedTenant {
  readonly tenant: string;
  /** The wrapped form of the sealing key. A caller that stores a first grant checks that the store still holds it. */
  readonly sealingKey: string;
  /**
   * Seals a secret for one place.
   * @throws {GrantryError} `invalid_request` when the plaintext is not well-formed Unicode: UTF-8 would alter it.
   */
  seal(place: SealPlace, plaintext: Secret): string;
  /**
   * Opens a sealed value.
   * @throws {GrantryError} `integrity_failed`, with the same text for every reason why a value does not open.
   */
  open(place: SealPlace, sealed: string): Secret;
}

/** @internal Implements {@link PinnedTenant}; only `TenantKeys` creates it. */
export class Pinned implements PinnedTenant {
  readonly tenant: string;
  readonly sealingKey: string;
  /** A value did not open. These keys may be outdated, so the next pin reads them again. */
  failed = false;
  readonly #keys: ReadonlyMap<number, KeyObject>;
  readonly #newestVersion: number;
  readonly #vaultId: string;
  readonly #world: World;
  readonly #acceptsFormat1: boolean;

  constructor(options: {
    tenant: string;
    keys: ReadonlyMap<number, { key: KeyObject; wrapped: string }>;
    vaultId: string;
    world: World;
    acceptsFormat1?: boolean;
  }) {
    this.tenant = options.tenant;
    this.#keys = new Map([...options.keys].map(([version, { key }]) => [version, key]));
    this.#newestVersion = Math.max(...options.keys.keys());
    this.sealingKey = options.keys.get(this.#newestVersion)?.wrapped ?? '';
    this.#vaultId = options.vaultId;
    this.#world = options.world;
    this.#acceptsFormat1 = options.acceptsFormat1 ?? false;
  }

  seal(place: SealPlace, plaintext: Secret): string {
    const text = plaintext.reveal();
    if (!text.isWellFormed()) throw new GrantryError('invalid_request', 'A secret is not well-formed Unicode.');
    const bytes = Buffer.from(text, 'utf8');
    try {
      return sealRecord({
        purpose: place.facts === undefined ? 'record' : 'placedRecord',
        key: this.#key(this.#newestVersion),
        keyVersion: this.#newestVersion,
        context: this.#context(place, place.facts),
        salt: this.#world.randomBytes(saltBytes),
        plaintext: bytes,
      });
    } finally {
      bytes.fill(0);
    }
  }

  open(place: SealPlace, sealed: string): Secret {
    const facts = this.#acceptsFormat1 && isFormat1(sealed) ? undefined : place.facts;
    const opened = openRecord({
      purpose: facts === undefined ? 'record' : 'placedRecord',
      findKey: (version) => this.#keys.get(version),
      context: this.#context(place, facts),
      text: sealed,
    });
    // An empty text is never sealed, and a Secret is never empty.
    if (opened.outcome !== 'opened' || opened.plaintext.length === 0) {
      this.failed = true;
      throw integrityFailed();
    }
    const secret = new Secret(opened.plaintext.toString('utf8'));
    opened.plaintext.fill(0);
    return secret;
  }

  fingerprint(): Fingerprint {
    return createFingerprint(this.#key(fingerprintVersion));
  }

  rowMac(): RowMac {
    return createRowMac(this.#keys, this.#newestVersion, this.#vaultId);
  }

  #key(version: number): KeyObject {
    const key = this.#keys.get(version);
    if (key === undefined) throw integrityFailed();
    return key;
  }

  #context(place: SealPlace, facts: readonly string[] = []): readonly string[] {
    assert(Number.isSafeInteger(place.generation) && place.generation >= 0, 'a generation is a whole number');
    const { table, row, column, generation } = place;
    return [this.#vaultId, this.tenant, table, row, column, String(generation), ...facts];
  }
}

/** Creates the one error for every value that does not open. */
export function integrityFailed(): GrantryError {
  return new GrantryError(
    'integrity_failed',
    'A stored value cannot be decrypted: it was moved, altered or sealed with another key.',
  );
}
