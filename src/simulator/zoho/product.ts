import type { KnownUser } from '../state/registry.ts';
import type { Envelope } from './envelopes.ts';

/** One call of a product's API. */
export interface Operation {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: RegExp;
  readonly scope: string;
  /** Set when the call needs no organisation id although the product's other calls do. */
  readonly withoutOrganization?: boolean;
  /** Builds the answer; left out for calls that list (`GET`) or add (`POST`) records of the path's first group. */
  readonly answer?: (user: KnownUser) => unknown;
}

/** A product: its paths, its error envelope and its calls. */
export interface Product {
  readonly name: string;
  /** First label of its own host; `www` for products behind the gateway. */
  readonly host: string;
  /** A second host of the product. */
  readonly alias?: string;
  /** Its real hosts, where `host` does not tell them. */
  readonly hosts?: ReadonlySet<string>;
  readonly prefix: RegExp;
  readonly envelope: Envelope;
  readonly organization?:
    | { readonly in: 'header' | 'query'; readonly name: string; readonly required: boolean }
    | undefined;
  readonly operations: readonly Operation[];
}
